"""Which of PostgreSQL 15's functions and operators run here: facts and declarations → ``docs/functions.md``.

    python -m compute_node.catalog.coverage

writes the page; a test compares it with what this module makes now.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import compute_node.catalog.view  # noqa: F401  (fills REGISTRY)
from aurora.datum import Datum
from compute_node.catalog.facts import fact_rows
from compute_node.catalog.functions.statistics import NOT_COUNTED
from compute_node.catalog.uncoded import SQL_LANGUAGE
from compute_node.types.oids import INTERNAL, TYPE_OIDS
from compute_node.types.registry import REGISTRY

PAGE = Path(__file__).resolve().parents[2] / "docs" / "functions.md"
RUNS, INTERNAL_ONLY, UNCOUNTED, GAP = "runs", "internal", "not counted", "gap"
Fact = dict[str, Datum]

_REASONS = (
    (r"pg_backup_.*", "backups are the storage nodes' work, and need no mode of the server"),
    (r"pg_create_.*slot|pg_logical_emit.*|pg_replication_origin_create", "logical decoding and its slots are not here"),
    (r"currtid2", "a tool for PostgreSQL's own development"),
    (r"pg_get_wal_resource_managers", "the log has no resource managers"),
    (r"tsvector_update_trigger.*", "triggers are not here"),
    (r"fmgr_c_validator", "there are no functions in C"),
    (r"pg_import_system_collations", "collations of the operating system are not read"),
)  # fmt: skip


def function_state(row: Fact) -> str:
    """Whether a function of a recorded row runs, cannot be called by SQL, tells what nothing counts, or is missing."""
    if row["proname"] in NOT_COUNTED:
        return UNCOUNTED
    if row["oid"] in REGISTRY.functions or row["prolang"] == SQL_LANGUAGE:
        return RUNS
    return INTERNAL_ONLY if INTERNAL in row["proargtypes"] and row["prokind"] == "f" else GAP


def operator_runs(row: Fact) -> bool:
    """Whether an operator of a recorded row runs."""
    return row["oid"] in REGISTRY.operators and row["oprcode"] in REGISTRY.functions


def reason(name: str) -> str:
    """Why a function is missing."""
    return next((text for pattern, text in _REASONS if re.fullmatch(pattern, name)), "not written yet")


_BY_NAME = (
    (r"pg_stat_.*", "statistics"),
    (r".*replication_(slot|origin).*|pg_logical_.*|pg_get_publication.*", "replication"),
    (r"has_.*_privilege|pg_has_role|.*acl.*", "privileges"),
    (r"binary_upgrade_.*|pg_event_trigger.*|RI_FKey_.*|.*_trigger|unique_key_recheck", "triggers and upgrades"),
    (r"lo_.*|loread|lowrite", "large objects"),
    (r"(brin|gin|gist|gtsv|gtsq|spg|inet_gist|inet_spg|range_gist|multirange_gist).*", "index methods"),
    (r"ts_.*|.*tsvector.*|.*tsquery.*|prsd_.*|d(simple|synonym|ispell)_.*|dsnowball.*|thesaurus_.*", "text search"),
    (r".*xml.*|xpath.*", "XML"),
    (r"json.*|.*jsonb.*|.*jsonpath.*", "JSON"),
    (r"aurora_.*", "Aurora"),
    (r"pg_.*|current_.*|.*_description|.*setting.*|set_config|txid_.*", "information and administration"),
)  # fmt: skip
_BY_CATEGORY = {
    "A": "arrays", "B": "booleans", "D": "dates and times", "E": "enums", "G": "geometric", "I": "network addresses",
    "N": "numbers", "R": "ranges", "S": "strings", "T": "dates and times", "V": "bit strings",
}  # fmt: skip


def _roles() -> dict[int, str]:
    """Functions that have their family from where the catalog names them."""
    found: dict[int, str] = {}
    for row in fact_rows("pg_type"):
        for column in ("typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typsubscript"):
            found.setdefault(row[column], "input and output of types")
        found.setdefault(row["typanalyze"], "planner support")
    for row in fact_rows("pg_operator"):
        for column in ("oprrest", "oprjoin"):
            found.setdefault(row[column], "planner support")
    for row in fact_rows("pg_proc"):
        found.setdefault(row["prosupport"], "planner support")
    for row in fact_rows("pg_aggregate"):
        for column in (
            "aggtransfn", "aggfinalfn", "aggcombinefn", "aggserialfn", "aggdeserialfn", "aggmtransfn", "aggminvtransfn",
            "aggmfinalfn",
        ):  # fmt: skip
            found.setdefault(row[column], "parts of aggregates")
    return found


def family(row: Fact, roles: dict[int, str]) -> str:
    """The part of the page that a function belongs to."""
    if row["prokind"] in "aw":
        return "aggregates" if row["prokind"] == "a" else "window functions"
    if re.fullmatch(r"\w+_to_\w+", row["proname"]) and INTERNAL in row["proargtypes"]:
        return "conversions of encodings"
    by_name = next((title for pattern, title in _BY_NAME if re.fullmatch(pattern, row["proname"])), None)
    if row["oid"] in roles:
        return roles[row["oid"]]
    if by_name is not None:
        return by_name
    for oid in (*row["proargtypes"], row["prorettype"]):
        kind = REGISTRY.types.get(oid)
        if kind is not None and kind.category in _BY_CATEGORY:
            return _BY_CATEGORY[kind.category]
    return "other types"


def _signature(row: Fact) -> str:
    names = {oid: name for name, oid in TYPE_OIDS.items()}
    return f"{row['proname']}({', '.join(names.get(oid, str(oid)) for oid in row['proargtypes'])})"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _families(rows: list[Fact]) -> list[str]:
    roles = _roles()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[family(row, roles)][function_state(row)] += 1
    lines = [
        "| family | functions | run | not callable | not counted | missing |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for title in sorted(counts, key=str.lower):
        found = counts[title]
        lines.append(
            f"| {title} | {found.total()} | {found[RUNS]} | {found[INTERNAL_ONLY]} | {found[UNCOUNTED]} | {found[GAP]} "
            "|"
        )
    return lines


def _gaps(rows: list[Fact]) -> list[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if function_state(row) == GAP:
            by_reason[reason(row["proname"])].append(_signature(row))
    lines = ["| functions | why |", "| --- | --- |"]
    for why in sorted(by_reason):
        lines.append(f"| {', '.join(f'`{each}`' for each in sorted(by_reason[why]))} | {why} |")
    return lines


def page() -> str:
    """The text of the page."""
    rows = sorted(fact_rows("pg_proc"), key=lambda row: (row["proname"], row["oid"]))
    operators = list(fact_rows("pg_operator"))
    states = Counter(function_state(row) for row in rows)
    callable_rows = len(rows) - states[INTERNAL_ONLY]
    lost = [row for row in operators if not operator_runs(row)]
    runs: Callable[[str], int] = states.__getitem__
    lines = [
        "# Functions and operators",
        "",
        "Written by `python -m compute_node.catalog.coverage`; a test holds it to the code.",
        "",
        f"PostgreSQL 15 has {len(rows):,} functions in pg_proc and {len(operators)} operators. All are in the catalog"
        " as PostgreSQL has them. A call of one that is missing is 0A000, with its name.",
        "",
        "| | functions | of those that SQL can call |",
        "| --- | --- | --- |",
        f"| run | {runs(RUNS):,} | {_share(runs(RUNS), callable_rows)} |",
        f"| run, and give NULL or 0: nothing here counts what they tell | {runs(UNCOUNTED)} |"
        f" {_share(runs(UNCOUNTED), callable_rows)} |",
        f"| missing | {runs(GAP)} | {_share(runs(GAP), callable_rows)} |",
        f"| cannot be called by SQL, in PostgreSQL neither: they take `internal` values | {runs(INTERNAL_ONLY)} | |",
        "",
        f"Operators that run: {len(operators) - len(lost)} of {len(operators)}"
        f" ({_share(len(operators) - len(lost), len(operators))}).",
        "",
        "What the functions over `internal` values do in PostgreSQL, the server does by itself (sorting, planning, the"
        " states of aggregates), or it belongs to an index method that is not here.",
        "",
        "## By family",
        "",
        *_families(rows),
        "",
        "## Missing",
        "",
        *_gaps(rows),
    ]
    if lost:
        lines += ["", "Operators: " + ", ".join(f"`{row['oprname']}` ({row['oid']})" for row in lost)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())

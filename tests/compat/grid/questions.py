"""What PostgreSQL is asked: its operators, functions, aggregates and casts over the types that have edge values.

The questions come from the catalog of the PostgreSQL that records; the recorded file holds them, so that a replay needs
no catalog.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from tests.compat.grid.cells import Question, Server, literal, quoted
from tests.compat.grid.edges import CAST_TEXTS, EDGES, ELEMENTS, STAND_INS, TYPMODS

_UNSTEADY = re.compile(
    r"pg_(?!size_(pretty|bytes)|lsn|snapshot|input|typeof|collation_for|column_compression|xact_commit|char_to|client_to|encoding)"
    r"|has_|row_security|txid_|lo_|ts_stat|ts_parse|ts_token|current|inet_(client|server)|binary_upgrade|"
    r"(schema|table|query|database|cursor)_to_xml|xpath|xml|dblink|age$|.*_support$|.*sel$|col_description|"
    r"obj_description|shobj|format_type|nextval|currval|lastval|setval|to_reg|makeaclitem|acl|getdatabase|unique_key|"
    r"gist|spg|gin_|brin|ginarray|array_subscript|jsonb_subscript|like_support|in_range|hash|.*hash|"
    r".*typmodout|.*typmodin|timestamp_.*zone_trans|.*_(accum|combine|serialize|deserialize|inv)|int._avg|.*_trans|"
    r".*_finalfn|.*recv$|.*send$|mxid_age|suppress|unknown|getpgusername|satisfies|generate_series|repeat$|lpad$|rpad$|arraycontsel|set_bit$"
)
"""Functions whose answer depends on more than their arguments, and the machinery of indexes and planners."""

_BASES = {"float": "float8", "char": "bpchar"}
_OPERATORS = """
select oprname, coalesce(l.typname, ''), r.typname, coalesce(l.typelem::regtype::text, ''), r.typelem::regtype::text,
 coalesce(l.typcategory, ''), r.typcategory
 from pg_operator o left join pg_type l on l.oid = oprleft join pg_type r on r.oid = oprright
 where o.oid < 16384 order by oprname, 2, 3
"""
_FUNCTIONS = """
select proname, prokind, proretset, (select array_to_string(array_agg(case when t.typname ~ '^_'
 then substr(t.typname, 2) || '[]' else t.typname end order by n), ' ') from unnest(proargtypes::oid[])
 with ordinality u(o, n) join pg_type t on t.oid = u.o), provariadic <> 0
 from pg_proc where oid < 16384 and pronamespace = 'pg_catalog'::regnamespace and prokind in ('f', 'a')
 and (provolatile <> 'v' or prokind = 'a') and pronargs between 1 and 3
 and prorettype not in ('trigger'::regtype, 'internal'::regtype, 'event_trigger'::regtype) order by 1, 4
"""
_CASTS = """
select format('%s', s.typname), format('%s', t.typname) from pg_cast c join pg_type s on s.oid = castsource
 join pg_type t on t.oid = casttarget where c.oid < 16384 order by 1, 2
"""


def _instances(types: list[str]) -> Iterator[tuple[str, ...]]:
    """A signature with its polymorphic types filled in, each stand-in for all of them."""
    variants = max((len(STAND_INS[name]) for name in types if name in STAND_INS), default=1)
    for variant in range(variants):
        found = [STAND_INS[name][variant] if name in STAND_INS else name for name in types]
        holders = [each for each, name in zip(found, types, strict=True) if "array" in name or "range" in name]
        if holders:
            element = ELEMENTS.get(holders[0])
            found = [
                element if element and name in ("anyelement", "anycompatible", "anynonarray") else each
                for each, name in zip(found, types, strict=True)
            ]
        if all(name in EDGES for name in found):
            yield tuple(found)


def _plain(typname: str) -> str:
    return typname[1:] + "[]" if typname.startswith("_") else typname


def operators(server: Server) -> list[Question]:
    """Every operator."""
    found = []
    for name, left, right, *_ in server.must(_OPERATORS):
        types = [_plain(str(each)) for each in (left, right) if each]
        call = f"{{0}} OPERATOR(pg_catalog.{name}) {{1}}" if left else f"OPERATOR(pg_catalog.{name}) {{0}}"
        found += [Question(call, instance) for instance in _instances(types)]
    return found


def functions(server: Server) -> list[Question]:
    """Functions of one to three arguments, and aggregates of one."""
    found = []
    for name, kind, returns_set, arguments, variadic in server.must(_FUNCTIONS):
        types = str(arguments or "").split()
        if _UNSTEADY.match(str(name)) or not types:
            continue
        holes = [f"{{{n}}}" for n in range(len(types))]
        if variadic == "t" and types[-1].endswith(("[]", "array")):
            holes[-1] = f"VARIADIC {holes[-1]}"
        call = f'"{name}"({", ".join(holes)})'
        if kind == "a":
            if len(types) == 1 and name != "array_agg":
                found += [Question(call, instance, True) for instance in _instances(types)]
            continue
        if re.search("cmp$|_cmp_", str(name)):
            call = f"sign({call})"  # how far from 0 it is depends on the machine
        if returns_set == "t":
            call = f"array(SELECT {call})"
        found += [Question(call, instance) for instance in _instances(types)]
    return found


def casts(server: Server) -> list[Question]:
    """Every cast of the catalog, every type to text and through a modifier, and what each type makes of odd texts."""
    found = []
    for source, target in server.must(_CASTS):
        if _plain(str(source)) in EDGES:
            found.append(Question(f"{{0}}::{quoted(_plain(str(target)))}", (_plain(str(source)),)))
    found += [Question("{0}::text", (name,)) for name in EDGES]
    for target in TYPMODS:
        word = re.match(r"\w+", target)
        base = _BASES.get(word[0], word[0]) if word is not None else target
        base += "[]" if target.endswith("[]") else ""
        found += [Question(f"{{0}}::{target}", (name,)) for name in (base, "text") if name in EDGES]
    for name, text in itertools.product(EDGES, CAST_TEXTS["text"]):
        if name not in ("regclass", "regproc", "regtype", "regconfig", "regdictionary"):
            braced = literal(text).replace("{", "{{").replace("}", "}}")
            found.append(Question(f"{braced}::{quoted(name)}", ()))
    return found


KINDS = {"operators": operators, "functions": functions, "casts": casts}

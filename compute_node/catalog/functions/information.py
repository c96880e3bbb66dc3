"""What the catalog and the server say of themselves: keywords, foreign keys of the catalogs, flags of settings,
parameters of a sequence, files that are there (manual, 9.26)."""

from __future__ import annotations

import json
import logging
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from aurora.datum import Datum, Row
from aurora.errors import (
    InsufficientPrivilege,
    InternalError,
    InvalidParameterValue,
    ObjectNotInPrerequisiteState,
    UndefinedFunction,
    UndefinedTable,
    Warning_,
)
from compute_node.catalog.facts import answer_rows
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.definitions import statistics_expressions
from compute_node.catalog.objects import INTERNAL_LANGUAGE, internal_function
from compute_node.catalog.permissions import denied_relation
from compute_node.catalog.uncoded import SQL_LANGUAGE
from compute_node.relations.foreign import require_handler
from compute_node.session.settings import DEFINITIONS
from compute_node.sql.analyze.from_clause import analyze_view
from compute_node.sql.rewriter.views import assignable_column, base_entry, why_not_query
from compute_node.types.acl import SELECT, UPDATE, USAGE
from compute_node.types.system import SERVER_VERSION

LOGGER = logging.getLogger(__name__)

_KEYWORD_KINDS = {
    "U": "unreserved",
    "C": "unreserved (cannot be function or type name)",
    "T": "reserved (can be function or type name)",
    "R": "reserved",
}


def keywords(call: Call) -> Iterator[Row]:
    """pg_get_keywords: PostgreSQL 15's."""
    for word, kind, bare in answer_rows("keywords"):
        yield word, kind, bare, _KEYWORD_KINDS[kind], "can be bare label" if bare else "requires AS"


def catalog_foreign_keys(call: Call) -> Iterator[Row]:
    """pg_get_catalog_foreign_keys: which columns of the catalogs hold OIDs of which catalog's rows."""
    for row in answer_rows("foreign_keys"):
        yield tuple(row)


@lru_cache(maxsize=1)
def _flags() -> dict[str, list[str]]:
    return dict(answer_rows("setting_flags"))


def flags_of(setting: str) -> list[str]:
    """What is to be known of a setting besides its value: EXPLAIN, NO_SHOW_ALL …"""
    return _flags().get(setting, [])


def setting_flags(call: Call, name: str) -> list[str] | None:
    """pg_settings_get_flags; NULL for an unknown setting."""
    setting = DEFINITIONS.get(name.lower())
    return None if setting is None else flags_of(setting.name)


def sequence_parameters(call: Call, oid: int) -> Row:
    """pg_sequence_parameters: what CREATE SEQUENCE said. 42P01, 42501, 42809."""
    desc = call.view.relation(oid)
    if desc is None:
        raise UndefinedTable(f"relation with OID {oid} does not exist")
    if not call.view.rights(call.session.user_oid).relation(desc, SELECT | UPDATE | USAGE):
        raise denied_relation(desc)
    row = call.reader.one("pg_sequence", seqrelid=oid)
    if row is None:
        raise InternalError(f"cache lookup failed for sequence {oid}")
    return row.seqstart, row.seqmin, row.seqmax, row.seqincrement, row.seqcycle, row.seqcache, row.seqtypid


_UPDATE, _INSERT, _DELETE = 1 << 2, 1 << 3, 1 << 4


def relation_is_updatable(call: Call, oid: int, with_triggers: bool) -> int:
    """pg_relation_is_updatable: a table takes all three events, a view what it hands on to what is behind it."""
    return _events(call, oid, None)


def column_is_updatable(call: Call, oid: int, attno: int, with_triggers: bool) -> bool:
    """pg_column_is_updatable: both UPDATE and DELETE, and not a system column."""
    wanted = _UPDATE | _DELETE
    return attno > 0 and _events(call, oid, attno) & wanted == wanted


def _events(call: Call, oid: int, attno: int | None) -> int:
    """What a relation takes; of a view, so far as one column (None: any) is concerned."""
    desc = call.view.relation(oid)
    if desc is not None and desc.kind == "f":
        require_handler(desc)  # no wrapper that is here takes changes
    if desc is None or desc.kind not in "rpv":
        return 0
    if desc.kind != "v":
        return _UPDATE | _INSERT | _DELETE
    query = analyze_view(call.view, desc, call.session).query
    entry = base_entry(query)
    if why_not_query(query) is not None or entry is None or entry.relation is None:
        return 0
    columns = [item for item in query.targets if not item.junk]
    if attno is not None:
        columns = columns[attno - 1 : attno]
    base = entry.relation.oid
    free = [attno for attno in map(partial(assignable_column, query), columns) if attno]
    if not free:
        return _DELETE & _events(call, base, None)
    return max(_events(call, base, each) for each in free)


def nothing(call: Call, *_: Datum) -> Iterator[Row]:
    """No rows, where what they would tell of is not there: files of settings and of user name
    maps, prepared transactions."""
    return iter(())


def mcv_list_items(call: Call, items: str) -> Iterator[Row]:
    """pg_mcv_list_items: the combinations that a statistics object knows, the most common first."""
    for number, (values, frequency, base) in enumerate(json.loads(items)):
        yield number, values, [value is None for value in values], frequency, base


def build_settings(call: Call) -> Iterator[Row]:
    """pg_config: the interpreter's paths, and the compiler that the kernels were built with."""
    paths, built = sysconfig.get_paths(), sysconfig.get_config_var
    yield "BINDIR", paths["scripts"]
    for name in ("DOCDIR", "HTMLDIR"):
        yield name, paths["data"]
    for name in ("INCLUDEDIR", "PKGINCLUDEDIR", "INCLUDEDIR-SERVER"):
        yield name, paths["include"]
    for name in ("LIBDIR", "PKGLIBDIR"):
        yield name, paths["platlib"]
    for name in ("LOCALEDIR", "MANDIR", "SHAREDIR", "SYSCONFDIR"):
        yield name, paths["data"]
    yield "PGXS", "not available"
    yield "CONFIGURE", built("CONFIG_ARGS") or ""
    for name, variable in (
        ("CC", "CC"), ("CPPFLAGS", "CPPFLAGS"), ("CFLAGS", "CFLAGS"), ("CFLAGS_SL", "CCSHARED"),
        ("LDFLAGS", "LDFLAGS"), ("LDFLAGS_EX", "LINKFORSHARED"), ("LDFLAGS_SL", "BLDSHARED"), ("LIBS", "LIBS"),
    ):  # fmt: skip
        yield name, built(variable) or ""
    yield "VERSION", f"PostgreSQL {SERVER_VERSION} (Python {sys.version.split()[0]})"


_DEFAULT_TABLESPACE, _GLOBAL_TABLESPACE = 1663, 1664


def tablespace_databases(call: Call, oid: int) -> Iterator[int]:
    """pg_tablespace_databases: the databases with files in a tablespace; all have them in pg_default."""
    if oid == _DEFAULT_TABLESPACE:
        yield from sorted(int(row.oid) for row in call.reader.all("pg_database"))
    elif oid == _GLOBAL_TABLESPACE:
        call.session.notice(Warning_("global tablespace never has databases"), "WARNING")
    else:
        call.session.notice(Warning_(f"{oid} is not a tablespace OID"), "WARNING")


# validators of languages


def _validator(own: int, language: int) -> Callable[[Call, int], str]:
    def validate(call: Call, oid: int) -> str:
        row = call.reader.one("pg_proc", oid=oid)
        if row is None:
            raise UndefinedFunction(f"function with OID {oid} does not exist")
        if row.prolang != language:
            found = call.reader.one("pg_language", oid=row.prolang)
            raise InsufficientPrivilege(
                f"language validation function {own} called for language {row.prolang} instead of"
                f" {0 if found is None else found.lanvalidator}"
            )
        if language == INTERNAL_LANGUAGE and oid >= 16384 and not internal_function(row.prosrc, row.pronargs):
            raise UndefinedFunction(f'there is no built-in function named "{row.prosrc}"')
        return ""

    return validate


# logs, write-ahead log


def rotate_logfile(call: Call) -> bool:
    """pg_rotate_logfile: the log goes where the instance's output goes."""
    call.session.notice(Warning_("rotation not possible because log collection not active"), "WARNING")
    return False


def current_logfile(call: Call, log_format: str | None = None) -> None:
    """pg_current_logfile: NULL. 22023."""
    if log_format is not None and log_format not in ("stderr", "csvlog", "jsonlog"):
        raise InvalidParameterValue(
            f'log format "{log_format}" is not supported',
            hint='The supported log formats are "stderr", "csvlog", and "jsonlog".',
        )


def log_memory(call: Call, pid: int) -> bool:
    """pg_log_backend_memory_contexts: what a session's statements hold, to the server's log."""
    registry = call.session.registry
    target = call.session if pid == call.session.pid else None if registry is None else registry.sessions.get(pid)
    if target is None:
        call.session.notice(Warning_(f"PID {pid} is not a PostgreSQL server process"), "WARNING")
        return False
    LOGGER.info(
        "session %d keeps %d prepared statements and %d portals", pid, len(target.statements), len(target.portals)
    )
    return True


_SEGMENT_BYTES = 16 * 1024 * 1024


def log_file_name(call: Call, lsn: int) -> str:
    """pg_walfile_name."""
    if call.engine.in_recovery:
        raise ObjectNotInPrerequisiteState(
            "recovery is in progress", hint="pg_walfile_name() cannot be executed during recovery."
        )
    return log_segment(lsn)


def log_segment(lsn: int) -> str:
    """The name that PostgreSQL gives the segment of a position; one at its end belongs to the one before."""
    number = (lsn - 1) // _SEGMENT_BYTES if lsn else 0
    per_log = (1 << 32) // _SEGMENT_BYTES
    return f"{1:08X}{number // per_log:08X}{number % per_log:08X}"


def log_file_and_offset(call: Call, lsn: int) -> Row:
    """pg_walfile_name_offset."""
    if call.engine.in_recovery:
        raise ObjectNotInPrerequisiteState(
            "recovery is in progress", hint="pg_walfile_name_offset() cannot be executed during recovery."
        )
    return log_segment(lsn), lsn % _SEGMENT_BYTES


def _no_commit_times(call: Call, *_: Datum) -> Datum:
    raise ObjectNotInPrerequisiteState(
        "could not get commit timestamp data",
        hint='Make sure the configuration parameter "track_commit_timestamp" is set.',
    )


def multixact_members(call: Call, multixact: int) -> Iterator[Row]:
    """pg_get_multixact_members: rows are locked in memory, by transactions. 22023."""
    if multixact < 1:
        raise InvalidParameterValue(f"invalid MultiXactId: {multixact}")
    raise InternalError(f"MultiXactId {multixact} has not been created yet -- apparent wraparound")


def vector_types(call: Call, types: list[int]) -> str:
    """oidvectortypes: their names, with commas."""
    return ", ".join([call.type_name(oid) for oid in types])


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_get_keywords": keywords,
    "pg_get_catalog_foreign_keys": catalog_foreign_keys,
    "pg_settings_get_flags": setting_flags,
    "pg_sequence_parameters": sequence_parameters,
    "pg_relation_is_updatable": relation_is_updatable,
    "pg_column_is_updatable": column_is_updatable,
    "pg_config": build_settings,
    "pg_mcv_list_items": mcv_list_items,
    "pg_tablespace_databases": tablespace_databases,
    "oidvectortypes": vector_types,
    "current_query": lambda call: call.session.query,
    "pg_show_all_file_settings": nothing,
    "pg_ident_file_mappings": nothing,
    "fmgr_internal_validator": _validator(2246, INTERNAL_LANGUAGE),
    "fmgr_sql_validator": _validator(2248, SQL_LANGUAGE),
    "pg_rotate_logfile": rotate_logfile,
    "pg_rotate_logfile_old": rotate_logfile,
    "pg_current_logfile": current_logfile,
    "pg_log_backend_memory_contexts": log_memory,
    "pg_get_statisticsobjdef_expressions": statistics_expressions,
    "pg_get_multixact_members": multixact_members,
    "pg_xact_commit_timestamp": _no_commit_times,
    "pg_xact_commit_timestamp_origin": _no_commit_times,
    "pg_last_committed_xact": _no_commit_times,
    "pg_walfile_name": log_file_name,
    "pg_walfile_name_offset": log_file_and_offset,
}

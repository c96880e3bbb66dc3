"""What a changed setting does to its session: setting → effect, in one table.

Settings that only code elsewhere looks up have no row. ``environment`` names what analysis and planning depend on;
sessions with equal environments share plans.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.ids import Lsn
from compute_node.session import audit, encoded
from compute_node.session.settings import DEFINITIONS, REPORTED, SettingValue, define_or_raise, show_value, zone_for
from compute_node.sql.literals import LiteralRules
from compute_node.types.charsets.charset import charset
from compute_node.types.charsets.names import ENCODINGS, SERVER_ENCODINGS, SQL_ASCII, UTF8, find_encoding
from compute_node.types.oid import parse_lsn

if TYPE_CHECKING:
    from compute_node.session.state import SessionState

Effect = Callable[["SessionState", SettingValue], None]

PLAN_SETTINGS = frozenset(
    [
        "search_path",
        "DateStyle",
        "IntervalStyle",
        "TimeZone",
        "transform_null_equals",
        "extra_float_digits",
        "max_stack_depth",
        "array_nulls",
        "work_mem",
        "hash_mem_multiplier",
        "geqo",
        "geqo_threshold",
        "constraint_exclusion",
        "from_collapse_limit",
        "join_collapse_limit",
        "session_authorization",
        "role",
        "bytea_output",
        "xmloption",
        "standard_conforming_strings",
        "row_security",
        "ansi_qualified_update_set_target",
        "seq_page_cost",
        "random_page_cost",
        "cpu_tuple_cost",
        "cpu_index_tuple_cost",
        "cpu_operator_cost",
        "effective_cache_size",
        "jit",
        "session_replication_role",
    ]
)


def plan_depends_on(name: str) -> bool:
    """Whether analysis or planning looks at this setting."""
    return name in PLAN_SETTINGS or name.startswith("enable_")


def environment(session: SessionState) -> tuple[object, ...]:
    """What analysis depends on; equal environments share plans. A schema for temporary tables is on its session's
    search path alone."""
    changed = session.settings.overridden()
    relevant = tuple(sorted((key, value) for key, value in changed.items() if plan_depends_on(DEFINITIONS[key].name)))
    temp_schema = session.temp_schema
    return (session.user, session.user_oid, session.database, temp_schema, relevant)


def apply(session: SessionState, name: str, value: SettingValue) -> None:
    """Bring a setting's new value into the session, and tell the client if it is one that clients hear of."""
    setting = define_or_raise(name)
    if setting.name in REPORTED:
        if session.status_changes is None:
            session.status_changes = {}
        session.status_changes[setting.name] = show_value(setting, value)
    effect = _EFFECTS.get(setting.name)
    if effect is not None:
        effect(session, value)


def _client_encoding(session: SessionState, value: SettingValue) -> None:
    name = find_encoding(str(value)) or UTF8
    if name in (UTF8, SQL_ASCII):
        if session.encoding != UTF8:
            encoded.use(session, None)
        name = UTF8
    elif name != session.encoding:
        encoded.use(session, charset(name))
    session.encoding = name
    _literals(session, value)


def _time_zone(session: SessionState, value: SettingValue) -> None:
    zone = zone_for(str(value))
    if zone is not None:
        session.env.timezone, session.env.timezone_name = zone, str(value)


def _date_style(session: SessionState, value: SettingValue) -> None:
    session.env.datestyle = str(value)


def _interval_style(session: SessionState, value: SettingValue) -> None:
    session.env.intervalstyle = str(value)


def _float_digits(session: SessionState, value: SettingValue) -> None:
    session.env.extra_float_digits = int(value)


def _stack_depth(session: SessionState, value: SettingValue) -> None:
    session.env.stack_kb = int(value)


def _bytea_output(session: SessionState, value: SettingValue) -> None:
    session.env.bytea_output = str(value)


def _xml_option(session: SessionState, value: SettingValue) -> None:
    session.env.xml_document = str(value) == "document"


def _xml_binary(session: SessionState, value: SettingValue) -> None:
    session.env.xml_binary = str(value)


def _qualified_set(session: SessionState, value: SettingValue) -> None:
    session.env.qualified_set = bool(value)


def _synchronous_commit(session: SessionState, value: SettingValue) -> None:
    session.sync_commit = value != "off"


def _statement_timeout(session: SessionState, value: SettingValue) -> None:
    session.statement_timeout_ms = int(value)
    _guard(session)


def _guard(session: SessionState) -> None:
    """Whether statements must go the general way."""
    session.guarded = bool(session.statement_timeout_ms or session.read_after_lsn or session.literal_rules is not None)


def _lock_timeout(session: SessionState, value: SettingValue) -> None:
    session.lock_timeout_ms = int(value)


def _idle_timeout(session: SessionState, value: SettingValue) -> None:
    session.idle_timeout_ms = int(value)


def _idle_in_txn_timeout(session: SessionState, value: SettingValue) -> None:
    session.idle_in_txn_timeout_ms = int(value)


def _lifting(session: SessionState, _value: SettingValue) -> None:
    get = session.settings.get
    session.lift_literals = bool(get("aurora.lift_literals")) and bool(get("standard_conforming_strings"))


def _literals(session: SessionState, _value: SettingValue) -> None:
    _lifting(session, _value)
    get = session.settings.get
    standard, quotes = bool(get("standard_conforming_strings")), get("backslash_quote")
    allowed = quotes == "on" or (quotes == "safe_encoding" and ENCODINGS.index(session.encoding) < SERVER_ENCODINGS)
    usual = standard and allowed
    session.literal_rules = None if usual else LiteralRules(standard, allowed, bool(get("escape_string_warning")))
    _guard(session)


def _notice_level(session: SessionState, value: SettingValue) -> None:
    session.notice_level = NOTICE_LEVELS.get(str(value), 8)


def _application_name(session: SessionState, value: SettingValue) -> None:
    session.application_name = str(value)


def _session_authorization(session: SessionState, value: SettingValue) -> None:
    name = str(value)
    if name != session.session_user:
        session.session_user, session.session_oid = name, _role_of(session, name)
    _become(session, session.session_user, session.session_oid)


def _role(session: SessionState, value: SettingValue) -> None:
    if value == "none":
        _become(session, session.session_user, session.session_oid)
    elif value != session.user:
        _become(session, str(value), _role_of(session, str(value)))


def _role_of(session: SessionState, name: str) -> int:
    """A role's OID, 0 for one that has been dropped; the log-in role's name may have been another one."""
    if name == session.settings.default("session_authorization"):
        return session.role_oid
    return int(session.catalog_function("find_role", name) or 0)


def _become(session: SessionState, user: str, user_oid: int) -> None:
    """SET ROLE and SET SESSION AUTHORIZATION: the rights are those of the new current user."""
    if user_oid == session.user_oid and user == session.user:
        return
    session.user, session.user_oid = user, user_oid
    audit.becomes(session, user)
    superuser = bool(session.catalog_function("role_is_superuser", user_oid))
    if superuser != session.superuser:
        session.superuser = session.settings.superuser = superuser
        session.settings.force("is_superuser", superuser)


def _default_isolation(session: SessionState, value: SettingValue) -> None:
    session.default_isolation = str(value)
    _defaults(session)


def _default_read_only(session: SessionState, value: SettingValue) -> None:
    session.default_read_only = bool(value)
    _defaults(session)


def _default_deferrable(session: SessionState, value: SettingValue) -> None:
    session.default_deferrable = bool(value)
    _defaults(session)


def _read_after(session: SessionState, value: SettingValue) -> None:
    session.read_after_lsn = Lsn(parse_lsn(str(value)) or 0)
    _guard(session)


def _consistency_mode(session: SessionState, value: SettingValue) -> None:
    if value == "global" and not session.read_after_lsn:
        session.read_after_lsn, session.guarded = Lsn(1), True  # ``read_after`` asks before each query


def _defaults(session: SessionState) -> None:
    session.plain_defaults = (
        session.default_isolation == "read committed"
        and not session.default_read_only
        and not session.default_deferrable
    )


NOTICE_LEVELS = {"debug5": 0, "debug4": 1, "debug3": 2, "debug2": 3, "debug1": 4, "log": 5, "notice": 6, "warning": 7}
"""client_min_messages → the least severity that goes out; above all of them: errors alone."""


def _plan_cache_mode(session: SessionState, _value: SettingValue) -> None:
    for prepared in session.statements.values():
        if prepared.param_types:
            prepared.quick = None  # its next run chooses a plan


def _track(session: SessionState, value: SettingValue) -> None:
    session.tracks = ("none", "top", "all").index(str(value))


_EFFECTS: dict[str, Effect] = {
    "plan_cache_mode": _plan_cache_mode,
    "client_encoding": _client_encoding,
    "TimeZone": _time_zone,
    "DateStyle": _date_style,
    "IntervalStyle": _interval_style,
    "extra_float_digits": _float_digits,
    "max_stack_depth": _stack_depth,
    "bytea_output": _bytea_output,
    "xmloption": _xml_option,
    "xmlbinary": _xml_binary,
    "synchronous_commit": _synchronous_commit,
    "ansi_qualified_update_set_target": _qualified_set,
    "statement_timeout": _statement_timeout,
    "lock_timeout": _lock_timeout,
    "idle_session_timeout": _idle_timeout,
    "idle_in_transaction_session_timeout": _idle_in_txn_timeout,
    "aurora.lift_literals": _lifting,
    "standard_conforming_strings": _literals,
    "backslash_quote": _literals,
    "escape_string_warning": _literals,
    "client_min_messages": _notice_level,
    "application_name": _application_name,
    "session_authorization": _session_authorization,
    "role": _role,
    "pg_stat_statements.track": _track,
    "aurora.read_after_lsn": _read_after,
    "apg_write_forward.consistency_mode": _consistency_mode,
    "default_transaction_isolation": _default_isolation,
    "default_transaction_read_only": _default_read_only,
    "default_transaction_deferrable": _default_deferrable,
}

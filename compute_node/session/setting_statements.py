"""SET, SHOW, RESET and what current_setting and set_config do (manual, reference pages of SET, SHOW, SET
TRANSACTION)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pglast import ast, enums

from aurora.datum import Datum, Row
from aurora.errors import (
    InsufficientPrivilege,
    InvalidParameterValue,
    NoActiveSqlTransaction,
    NotSupported,
    UndefinedObject,
)
from compute_node.relations.schema import load_json
from compute_node.session import exported_snapshots, transactions
from compute_node.session.settings import DEFINITIONS, SECRET, define_or_raise, join_arguments, show_value
from compute_node.session.state import IDLE, SessionState

if TYPE_CHECKING:
    from compute_node.session.engine import OptionValue


OF_TRANSACTION = ("transaction_isolation", "transaction_read_only", "transaction_deferrable")
"""Settings that are the running transaction's"""
TEXT_SEARCH = "default_text_search_config"


def show(session: SessionState, name: str, missing_ok: bool = False) -> str | None:
    """SHOW's text. Raises 42704 unless ``missing_ok``."""
    key = name.lower()
    if key in OF_TRANSACTION:
        value = session.characteristics()[OF_TRANSACTION.index(key)]
        return value if isinstance(value, str) else "on" if value else "off"
    if key in SECRET and not may_see_secrets(session):
        raise InsufficientPrivilege(f'must be superuser or have privileges of pg_read_all_settings to examine "{name}"')
    if missing_ok and key not in DEFINITIONS:
        try:
            return session.settings.show(name)
        except UndefinedObject:
            return None
    return session.settings.show(name)


def may_see_secrets(session: SessionState) -> bool:
    """Whether the session may look at the settings in ``SECRET``."""
    return bool(session.engine.session_function(session, "has_predefined_role", "pg_read_all_settings"))


def assign(session: SessionState, name: str, value: str | None, local: bool) -> None:
    """SET (LOCAL) name = value; None is the default."""
    key = name.lower()
    transactions.ensure(session)
    if key in OF_TRANSACTION:
        _assign_transaction(session, key, value)
        return
    if value is None:
        session.settings.reset(name, local)
    else:
        session.settings.set(name, of_catalog(session, key, value), local)


def of_catalog(session: SessionState, key: str, value: str) -> str:
    """The value of a setting that names something in the catalog, a text search configuration, by its whole name;
    other settings' as it is. 22023 when there is no such thing."""
    if key != TEXT_SEARCH:
        return value
    found: str | None = session.catalog_function("text_search_configuration_name", value)
    if found is None:
        raise InvalidParameterValue(f'invalid value for parameter "{key}": "{value}"')
    return found


def _assign_transaction(session: SessionState, key: str, value: str | None) -> None:
    setting = define_or_raise(key)
    if value is None:
        if key == "transaction_read_only" and session.engine.in_recovery:
            return  # RESET: it stays what it must be
        value = show_value(setting, setting.boot)
    parsed: OptionValue
    if setting.type == "enum":
        parsed = value.lower()
        if parsed not in setting.enum:
            raise InvalidParameterValue(
                f'invalid value for parameter "{key}": "{value}"', hint=f"Available values: {', '.join(setting.enum)}."
            )
    else:
        parsed = value.lower() in ("on", "true", "yes", "1", "t", "y")
    transactions.apply_options(session, {key: parsed})


def _literal(node: ast.Node) -> str:
    return str(node.val.sval)


def _argument(node: ast.Node) -> str:
    if type(node) is ast.TypeCast:
        # SET TIME ZONE INTERVAL '…': hours and minutes east of Greenwich.
        match = re.match(r"\s*([+-]?)(\d{1,2})(?::(\d{2}))?\s*\Z", _literal(node.arg))
        if match is None:
            raise NotSupported("this form of SET TIME ZONE INTERVAL is not supported")
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        return f"{'-' if match[1] == '-' else ''}{minutes / 60}"
    value = node.val
    if isinstance(value, ast.Integer):
        return str(value.ival)
    if isinstance(value, ast.Float):
        return str(value.fval)
    if isinstance(value, ast.Boolean):
        return "on" if value.boolval else "off"
    return str(value.sval)


def set_text(session: SessionState, node: ast.Node) -> str:
    """The text of the value that SET name = … gives."""
    return join_arguments(node.name, [_argument(argument) for argument in node.args or ()])


def run_set(session: SessionState, node: ast.Node) -> str:
    """SET and RESET; returns the tag."""
    kinds = enums.VariableSetKind
    transactions.ensure(session)
    if node.kind == kinds.VAR_RESET_ALL:
        session.settings.reset_all()
        return "RESET"
    if node.kind == kinds.VAR_RESET:
        assign(session, node.name, None, False)
        return "RESET"
    if node.kind == kinds.VAR_SET_CURRENT:
        assign(session, node.name, show(session, node.name), node.is_local)
        return "SET"
    if node.is_local and session.block == IDLE and not session.several_statements:
        session.notice(NoActiveSqlTransaction("SET LOCAL can only be used in transaction blocks"), "WARNING")
    if node.kind == kinds.VAR_SET_MULTI:
        return _set_multi(session, node)
    if node.kind == kinds.VAR_SET_DEFAULT:
        assign(session, node.name, None, node.is_local)
        return "SET"
    assign(session, node.name, set_text(session, node), node.is_local)
    return "SET"


def _set_multi(session: SessionState, node: ast.Node) -> str:
    if node.name == "TRANSACTION SNAPSHOT":
        exported_snapshots.import_snapshot(session, _literal(node.args[0]))
        return "SET"
    values = transactions.option_values(node.args)
    if node.name == "TRANSACTION":
        if session.block == IDLE and not session.several_statements:
            session.notice(NoActiveSqlTransaction("SET TRANSACTION can only be used in transaction blocks"), "WARNING")
        transactions.apply_options(session, values)
        return "SET"
    for name, value in values.items():
        text = value if isinstance(value, str) else "on" if value else "off"
        assign(session, f"default_{name}", text, False)
    return "SET"


def show_rows(session: SessionState, name: str) -> list[Row]:
    """The rows of SHOW; ``all`` has three columns."""
    if name.lower() != "all":
        return [(show(session, name),)]
    hidden = frozenset() if may_see_secrets(session) else SECRET
    described = descriptions()
    names = [each for each in session.settings.names() if each not in hidden]
    return [(each, show(session, each), described.get(each, ("", None))[0]) for each in names]


def descriptions() -> dict[str, tuple[str, str | None]]:
    """What PostgreSQL says of its settings, by name, in short and besides; read from the recorded facts each time, for
    it is seldom asked for."""
    rows: Datum = load_json("facts_setting_descriptions.json")
    return {name: (short, more) for name, short, more in rows}

"""OPTIONS (…) of foreign data: what is held and what a statement gives → what is stored, each ``name=value``.

A wrapper's validator, a function of users, sees what is going to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import DuplicateObject, InvalidParameterValue, InvariantViolation, UndefinedObject
from compute_node.catalog.ddl.context import DdlContext
from compute_node.session import nested
from compute_node.types import oids
from compute_node.types.string_functions import quote_identifier

_A = enums.DefElemAction


def changed_options(
    ctx: DdlContext,
    held: Sequence[str] | None,
    given: Sequence[ast.DefElem] | None,
    class_oid: int,
    validator: int,
) -> list[str] | None:
    """The options ``held`` as ADD, SET and DROP change them; None for none. ``class_oid``: the catalog they are for,
    ``validator``: the OID of the function that may refuse them, 0 for none. 42710, 42704, 22023, and what the function
    raises."""
    values = dict(_split(each) for each in held or ())
    for item in given or ():
        name = item.defname
        if item.defaction in (_A.DEFELEM_SET, _A.DEFELEM_DROP):
            if name not in values:
                raise UndefinedObject(f'option "{name}" not found')
        elif name in values:
            raise DuplicateObject(f'option "{name}" provided more than once')
        if item.defaction == _A.DEFELEM_DROP:
            del values[name]
        else:
            values[name] = item.arg.sval
    for name in values:
        if "=" in name:
            raise InvalidParameterValue(f'invalid option name "{name}": must not contain "="')
    found = [f"{name}={value}" for name, value in values.items()]
    if validator:
        _validate(ctx, validator, found, class_oid)
    return found or None


def _split(option: str) -> tuple[str, str]:
    name, _, value = option.partition("=")
    return name, value


def _validate(ctx: DdlContext, function: int, options: list[str], class_oid: int) -> None:
    record = ctx.rows.one("pg_proc", oid=function)
    if record is None:
        raise InvariantViolation(f"pg_proc has no row {function}")
    schema = quote_identifier(ctx.view.namespace_name(record.pronamespace))
    call = f"SELECT {schema}.{quote_identifier(record.proname)}($1, $2)"
    nested.run(ctx.session, call, (options, class_oid), (oids.TYPE_OIDS["text[]"], oids.OID), None)

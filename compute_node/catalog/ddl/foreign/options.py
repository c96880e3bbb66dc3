"""OPTIONS (…) of foreign data: what is held and what a statement gives → what is stored, each ``name=value``.

A wrapper's validator, a function of users, sees what is going to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import DuplicateObject, InternalError, InvalidParameterValue, UndefinedObject
from compute_node.catalog.ddl.context import DdlContext

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


def _validate(ctx: DdlContext, validator: int, options: list[str], class_oid: int) -> None:
    function = ctx.view.function(validator)
    run = ctx.engine.begin_statement(ctx.session)
    run.start((), 0)
    try:
        given = (run, options, class_oid) if function.needs_context else (options, class_oid)
        result = function.implementation(*given)
    finally:
        run.finish()
    if result is None:
        raise InternalError(f"function {validator} returned NULL")

"""Function calls, coercions and the CURRENT_* values.

A strict function is guarded: its body runs only when no argument is NULL. Inline templates replace the call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aurora.datum import Datum
from aurora.errors import DatatypeMismatch, NotSupported
from compute_node.access.stored import Toasted
from compute_node.exec.compile.compiler import FALSITY_HANDLERS, TRUTH_HANDLERS, VALUE_HANDLERS, Compiler, handles
from compute_node.exec.compile.rows import column_index
from compute_node.exec.compile.unit import NULL, Code
from compute_node.sql import expressions as ex
from compute_node.types.array_value import flatten
from compute_node.types.collation import Collation, collation_of
from compute_node.types.collation.code import code_under
from compute_node.types.oids import ANY, INT2, INT4, INT8, TEXT, TYPE_OIDS, UNKNOWN, VARCHAR
from compute_node.types.registry import FieldDesc, Function, PgType

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext
    from compute_node.types.registry import TypeEnv


_OF_NO_TYPE = {
    TYPE_OIDS["anyenum"]: "type matched to anyenum is not an enum type: anyenum",
    TYPE_OIDS["anyrange"]: "argument declared anyrange is not a range type but type anyrange",
    TYPE_OIDS["anymultirange"]: "argument declared anymultirange is not a multirange type but type anymultirange",
}
"""The types of values of which analysis knows no more than the family, as those of ``range_in``: 42804."""


class Types(Protocol):
    """Where types are asked for."""

    def type(self, oid: int) -> PgType:
        """By OID."""


@dataclass(frozen=True, slots=True)
class GuardedCall:
    """``body`` is to be evaluated only when every one of ``guards`` (evaluated in order) is not None."""

    guards: tuple[str, ...]
    body: str
    parts: tuple[Code, ...]
    nullable: bool
    always_null: bool = False


def implementation_of(
    types: Types,
    function: Function,
    argument_types: tuple[int, ...],
    result: int,
    columns: tuple[tuple[int, int, str], ...] = (),
) -> Callable[..., Datum]:
    """The callable for one call site; ``columns``: those of its rows, where the query says them."""
    if columns and function.with_columns is not None:
        return function.with_columns(argument_types, result, tuple([(kind, typmod) for kind, typmod, _ in columns]))
    if columns and function.with_fields is not None:
        fields = [FieldDesc(name, types.type(kind), typmod) for kind, typmod, name in columns]
        return function.with_fields(tuple([types.type(oid or UNKNOWN) for oid in argument_types]), fields)
    if function.specialize is not None:
        for oid in argument_types:
            if oid in _OF_NO_TYPE and oid in function.arguments:
                raise DatatypeMismatch(_OF_NO_TYPE[oid])
        return function.specialize(tuple([types.type(oid or UNKNOWN) for oid in argument_types]), types.type(result))
    under = collation_among(types, argument_types)
    return function.implementation if under is None else code_under(function, under) or function.implementation


def collation_among(types: Types, argument_types: tuple[int, ...]) -> Collation | None:
    """The collation that the arguments carry."""
    for oid in argument_types:
        if collation_of(oid):
            return types.type(oid).collated
    return None


def context_text(function: Function) -> str:
    """How generated code spells the context that a function with ``needs_context`` gets."""
    return "c.volatile" if function.volatility == "v" else "c"


def guarded(
    compiler: Compiler,
    function: Function,
    args: list[Code],
    types: tuple[int, ...],
    result: int,
    star: bool = False,
    instead: Callable[..., Datum] | None = None,
    plain: Callable[..., Datum] | None = None,
    columns: tuple[tuple[int, int, str], ...] = (),
) -> GuardedCall:
    """A call over compiled arguments. ``star``: the last one is an array given with VARIADIC to a variadic "any".
    ``instead``: a function of (context, arguments …) to call in place of the function's code, unless ``plain`` can be
    called because the first argument, a column, is no handle."""
    unit = compiler.unit
    template = function.inline if function.specialize is None and not star and instead is None else None
    if template is not None and any(collation_of(oid) for oid in types):
        template = None
    if template is not None and not unit.bind_named(function.inline_names):
        template = None
    guards: list[str] = []
    atoms: list[str] = []
    for index, code in enumerate(args):
        if code is NULL and function.strict:
            return GuardedCall((), "None", (), True, always_null=True)
        repeated = template is not None and not code.simple and template.count(f"{{{index}}}") != 1
        if function.strict and (code.nullable or repeated):
            first, again = compiler.named(code)
            guards.append(first)
            atoms.append(again)
        else:
            atoms.append(code.text)
    if template is not None:
        body = template.format(*atoms)
        nullable = "None" in template or not function.strict
    elif instead is not None:
        body = f"{unit.bind(instead, 'g')}({', '.join(['c', *atoms])})"
        if plain is not None:
            whole = f"{unit.bind(plain, 'g')}({', '.join(atoms)})"
            body = f"({body} if type({atoms[0]}) is {unit.bind(Toasted, 'g')} else {whole})"
        nullable = True
    else:
        name = unit.bind(implementation_of(compiler.linker, function, types, result, columns), "g")
        if star and function.name == "format":
            atoms[-1] = f"*{unit.bind(flatten, 'g')}({atoms[-1]} or ())"
        elif star:
            first, again = compiler.named(args[-1])
            guards.append(first)
            atoms[-1] = f"*{unit.bind(flatten, 'g')}({again})"
        body = f"{name}({', '.join([context_text(function), *atoms] if function.needs_context else atoms)})"
        nullable = True
    return GuardedCall(tuple(guards), body, tuple(args), nullable)


def value_of(compiler: Compiler, call: GuardedCall) -> Code:
    """The call's SQL value."""
    if call.always_null:
        return NULL
    if not call.guards:
        return compiler.wrap(call.body, call.parts, nullable=call.nullable, extra=3)
    nulls = " or ".join(f"{guard} is None" for guard in call.guards)
    return compiler.wrap(f"None if {nulls} else {call.body}", call.parts, nullable=True, extra=3)


def truth_of(compiler: Compiler, call: GuardedCall, negated: bool = False) -> Code:
    """Truthy when the (boolean) call is TRUE; FALSE when ``negated``."""
    if call.always_null:
        return Code("False", False, True, 0)
    body = call.body
    if negated:
        body = f"({body}) is False" if call.nullable else f"not ({body})"
    tests = [f"{guard} is not None" for guard in call.guards]
    return compiler.wrap(" and ".join([*tests, body]), call.parts, nullable=not negated and call.nullable, extra=4)


def compile_call(compiler: Compiler, node: ex.Call) -> GuardedCall:
    """A Call node; 0A000 for a set-returning function where one value is needed."""
    function = compiler.linker.function(node.function)
    if function.returns_set:
        raise NotSupported("set-valued function called in context that cannot accept a set")
    args = [compiler.value(argument) for argument in node.arguments]
    types = tuple(argument.type for argument in node.arguments)
    star = node.variadic and function.variadic == ANY
    if star:  # what the function gets are the array's elements
        types = (*types[:-1], compiler.linker.type(types[-1]).element or UNKNOWN)
    instead = plain = None
    if compiler.scope.stored is not None:
        instead = compiler.scope.stored.call(node, implementation_of(compiler.linker, function, types, node.type))
        if instead is not None:
            args[0] = compiler.scope.column(0, column_index(node.arguments[0]))
            if node.function not in _ABOUT_STORAGE and not function.needs_context:
                plain = implementation_of(compiler.linker, function, types, node.type)
    return guarded(compiler, function, args, types, node.type, star, instead, plain, node.columns)


@handles(VALUE_HANDLERS, ex.Call)
def _call(compiler: Compiler, node: ex.Call) -> Code:
    return value_of(compiler, compile_call(compiler, node))


@handles(TRUTH_HANDLERS, ex.Call)
def _call_truth(compiler: Compiler, node: ex.Call) -> Code:
    return truth_of(compiler, compile_call(compiler, node))


@handles(FALSITY_HANDLERS, ex.Call)
def _call_falsity(compiler: Compiler, node: ex.Call) -> Code:
    return truth_of(compiler, compile_call(compiler, node), negated=True)


def strict_apply(compiler: Compiler, function: Callable[..., Datum], argument: Code, *others: str) -> Code:
    """``function(argument, *others)`` with NULL passed through."""
    name = compiler.unit.bind(function, "g")
    if argument is NULL:
        return NULL
    if not argument.nullable:
        return compiler.wrap(f"{name}({', '.join((argument.text, *others))})", (argument,), nullable=False, extra=2)
    first, again = compiler.named(argument)
    text = f"None if {first} is None else {name}({', '.join((again, *others))})"
    return compiler.wrap(text, (argument,), nullable=True, extra=2)


_ABOUT_STORAGE = frozenset((1269, 2121))
"""functions that tell of a stored value what it is like"""
_WHOLE = frozenset((INT2, INT4, INT8))
"""types whose text is the number's"""


@handles(VALUE_HANDLERS, ex.CoerceViaIO)
def _coerce_via_io(compiler: Compiler, node: ex.CoerceViaIO) -> Code:
    source = compiler.linker.type(node.argument.type)
    target = compiler.linker.type(node.type)
    output, read = source.output, target.input
    if target.oid in (TEXT, VARCHAR):
        # Their input takes any text as it is.
        if source.oid in _WHOLE:
            return strict_apply(compiler, str, compiler.value(node.argument))
        return strict_apply(compiler, output, compiler.value(node.argument), "c.env")
    if source.oid in (TEXT, VARCHAR):
        return strict_apply(compiler, read, compiler.value(node.argument), "-1", "c.env")

    def convert(value: Datum, env: TypeEnv) -> Any:
        return read(output(value, env), -1, env)

    return strict_apply(compiler, convert, compiler.value(node.argument), "c.env")


@handles(VALUE_HANDLERS, ex.CoerceToDomain)
def _coerce_to_domain(compiler: Compiler, node: ex.CoerceToDomain) -> Code:
    check, argument = compiler.linker.type(node.type).check, compiler.value(node.argument)
    if check is None:
        return argument

    def tested(value: Datum, env: Any) -> Any:
        check(value, env)
        return value

    name = compiler.unit.bind(tested, "g")
    return compiler.wrap(f"{name}({argument.text}, c.env)", (argument,), nullable=True, extra=2)


@handles(VALUE_HANDLERS, ex.CoerceTypmod)
def _coerce_typmod(compiler: Compiler, node: ex.CoerceTypmod) -> Code:
    cast = compiler.linker.type(node.type).typmod_cast
    argument = compiler.value(node.argument)
    if cast is None or node.typmod < 0:
        return argument
    return strict_apply(compiler, cast, argument, compiler.unit.bind(node.typmod), str(node.explicit))


@handles(VALUE_HANDLERS, ex.SqlValue)
def _sql_value(compiler: Compiler, node: ex.SqlValue) -> Code:
    simple = _SESSION_VALUES.get(node.name)
    if simple is not None:
        return Code(f"{compiler.unit.bind(simple, 'g')}(c)", True)
    conversion = _CLOCK_VALUES.get(node.name)
    if conversion is None:
        raise NotSupported(f"{node.name.upper()} is not supported")
    code = Code("c.env.transaction_timestamp", False)
    if conversion:
        code = value_of(compiler, guarded(compiler, compiler.linker.function(conversion), [code], (1184,), node.type))
    cast = compiler.linker.type(node.type).typmod_cast
    if node.typmod >= 0 and cast is not None:
        code = strict_apply(compiler, cast, code, compiler.unit.bind(node.typmod), "False")
    return code


@handles(VALUE_HANDLERS, ex.CurrentOf)
def _current_of(compiler: Compiler, node: ex.CurrentOf) -> Code:
    def address(context: ExecContext) -> int | None:
        at = context.session.cursor_row(node.cursor, node.relation)
        return None if at is None else context.storage.table(node.relation).version_of_now(context.snapshot, at)

    return Code(f"{compiler.unit.bind(address, 'g')}(c)", True)


def _current_schema(context: ExecContext) -> str | None:
    schemas = context.session.search_path_schemas(False)
    return schemas[0] if schemas else None


_SESSION_VALUES: dict[str, Callable[[Datum], Datum]] = {
    "current_user": lambda context: context.session.user,
    "current_role": lambda context: context.session.user,
    "user": lambda context: context.session.user,
    "session_user": lambda context: context.session.session_user,
    "current_catalog": lambda context: context.session.database,
    "current_schema": _current_schema,
}
_CLOCK_VALUES = {
    "current_timestamp": 0,
    "localtimestamp": 2027,
    "current_date": 1178,
    "current_time": 1388,
    "localtime": 2019,
}
"""The function that makes it of the transaction's timestamptz; 0: none."""

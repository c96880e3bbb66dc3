"""Arrays and rows: constructors, subscripts, ``op ANY/ALL``, GREATEST/LEAST, element-wise casts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aurora.datum import Datum
from compute_node.exec.compile import runtime
from compute_node.exec.compile.calls import context_text, implementation_of, strict_apply
from compute_node.exec.compile.compiler import TRUTH_HANDLERS, VALUE_HANDLERS, Compiler, handles, tuple_text
from compute_node.exec.compile.unit import Code
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql import expressions as ex
from compute_node.types.array_assign import set_element, set_fixed_element, set_slice
from compute_node.types.array_value import OPEN, array_of_arrays, array_slice, element_at, fixed_element, map_elements
from compute_node.types.json.access import subscripted
from compute_node.types.json.modify import store_subscripted
from compute_node.types.oids import INT2, INT2VECTOR, INT4, INT8, JSONB, OIDVECTOR, TEXT, VARCHAR
from compute_node.types.record import Record


@handles(VALUE_HANDLERS, ex.ArrayExpr)
def _array(compiler: Compiler, node: ex.ArrayExpr) -> Code:
    codes = [compiler.value(element) for element in node.elements]
    text = f"[{', '.join(code.text for code in codes)}]"
    if node.nested:
        return compiler.wrap(f"{compiler.unit.bind(array_of_arrays, 'g')}({text})", codes, nullable=False, extra=3)
    return compiler.wrap(text, codes, nullable=False, extra=2)


@handles(VALUE_HANDLERS, ex.RowExpr)
def _row(compiler: Compiler, node: ex.RowExpr) -> Code:
    codes = [compiler.value(argument) for argument in node.arguments]
    make = compiler.unit.bind(Record.of, "g")
    fields = compiler.linker.type(node.type).fields
    kinds = [item.type for item in fields] or [compiler.linker.type(argument.type) for argument in node.arguments]
    types = compiler.unit.bind(tuple(kinds))
    names = f", {compiler.unit.bind(node.names)}" if node.names else ""
    values = tuple_text([code.text for code in codes])
    return compiler.wrap(f"{make}({values}, {types}{names})", codes, nullable=False, extra=3)


@handles(VALUE_HANDLERS, ex.FieldSelect)
def _field(compiler: Compiler, node: ex.FieldSelect) -> Code:
    inner = compiler.value(node.argument)
    if inner.text == "None":
        return inner
    first, again = compiler.named(inner)
    return compiler.wrap(f"None if {first} is None else {again}[{node.index}]", (inner,), nullable=True)


@handles(VALUE_HANDLERS, ex.FieldStore)
def _field_store(compiler: Compiler, node: ex.FieldStore) -> Code:
    types = tuple(item.type for item in compiler.linker.type(node.type).fields)
    indexes = node.indexes

    def replaced(row: Sequence[Datum] | None, values: Sequence[Datum]) -> Record:
        fields: list[Datum] = [None] * len(types) if row is None else list(row)
        for index, value in zip(indexes, values, strict=True):
            fields[index] = value
        return Record.of(fields, types)

    row = compiler.value(node.argument)
    values = [compiler.value(value) for value in node.values]
    text = f"{compiler.unit.bind(replaced, 'g')}({row.text}, {tuple_text([value.text for value in values])})"
    return compiler.wrap(text, (row, *values), nullable=False, extra=3)


@handles(VALUE_HANDLERS, ex.ElementStore)
def _element_store(compiler: Compiler, node: ex.ElementStore) -> Code:
    container, value = compiler.value(node.container), compiler.value(node.value)
    if node.type == JSONB:
        indexes = [compiler.value(item) for item in node.indexes if item is not None]
        steps = tuple_text([code.text for code in indexes])
        text = f"{compiler.unit.bind(store_subscripted, 'g')}({container.text}, {steps}, {value.text})"
        return compiler.wrap(text, [container, value, *indexes], nullable=False, extra=3)
    rules = compiler.linker.type(node.type).root.subscripts
    if rules is not None:
        (index,) = (compiler.value(item) for item in node.indexes if item is not None)
        text = f"{compiler.unit.bind(rules.store, 'g')}({container.text}, {index.text}, {value.text})"
        return compiler.wrap(text, [container, value, index], nullable=False, extra=3)
    parts = [container, value]

    def bound(item: ex.Expr | None) -> str:
        if item is None:
            return compiler.unit.bind(OPEN, "g")
        code = compiler.value(item)
        parts.append(code)
        return code.text

    if node.slices is not None:
        places = tuple_text([f"({bound(low)}, {bound(high)})" for low, high in node.slices])
    else:
        places = tuple_text([bound(item) for item in node.indexes])
    one = set_fixed_element if compiler.linker.type(node.container.type).length > 0 else set_element
    name = compiler.unit.bind(set_slice if node.slices is not None else one, "g")
    return compiler.wrap(f"{name}({container.text}, {places}, {value.text})", parts, nullable=True, extra=4)


@handles(VALUE_HANDLERS, ex.Subscript)
def _subscript(compiler: Compiler, node: ex.Subscript) -> Code:
    container = compiler.value(node.container)
    if node.container.type == JSONB:
        indexes = [compiler.value(item) for item in node.indexes if item is not None]
        steps = tuple_text([code.text for code in indexes])
        text = f"{compiler.unit.bind(subscripted, 'g')}({container.text}, {steps})"
        return compiler.wrap(text, [container, *indexes], nullable=True, extra=3)
    rules = compiler.linker.type(node.container.type).root.subscripts
    if rules is not None:
        (index,) = (compiler.value(item) for item in node.indexes if item is not None)
        text = f"{compiler.unit.bind(rules.fetch, 'g')}({container.text}, {index.text})"
        return compiler.wrap(text, [container, index], nullable=True, extra=3)
    # The two vector types count from 0, arrays from 1.
    base = compiler.unit.bind(0 if node.container.type in (INT2VECTOR, OIDVECTOR) else 1)
    parts = [container]

    def bound(item: ex.Expr | None) -> str:
        if item is None:
            return compiler.unit.bind(OPEN, "g")
        code = compiler.value(item)
        parts.append(code)
        return code.text

    if node.slices is not None:
        pairs = tuple_text([f"({bound(low)}, {bound(high)})" for low, high in node.slices])
        text = f"{compiler.unit.bind(array_slice, 'g')}({container.text}, {base}, {pairs})"
    else:
        items = tuple_text([bound(item) for item in node.indexes])
        if compiler.linker.type(node.container.type).length > 0:
            text = f"{compiler.unit.bind(fixed_element, 'g')}({container.text}, {items})"
            return compiler.wrap(text, parts, nullable=True, extra=4)
        text = f"{compiler.unit.bind(element_at, 'g')}({container.text}, {base}, {items})"
    return compiler.wrap(text, parts, nullable=True, extra=4)


@handles(VALUE_HANDLERS, ex.ArrayCoerce)
def _array_coerce(compiler: Compiler, node: ex.ArrayCoerce) -> Code:
    scope, unit = compiler.scope, compiler.unit
    outer = scope.arguments
    element = unit.fresh("e")
    scope.elements.append(element)
    code = compiler.value(node.element)
    helper = unit.helper(scope.arguments, [f"return {code.text}"])
    call = f"{helper}({scope.arguments})"
    scope.elements.pop()
    unit.uses_params = unit.uses_exec_params = True
    maker = unit.helper(outer, [f"return lambda {element}: {call}"])
    return strict_apply(compiler, map_elements, compiler.value(node.argument), f"{maker}({outer})")


@handles(VALUE_HANDLERS, ex.MinMax)
def _min_max(compiler: Compiler, node: ex.MinMax) -> Code:
    codes = [compiler.value(argument) for argument in node.arguments]
    choose = runtime.extreme(node.greatest, compiler.linker.type(node.arguments[0].type).sort_value, len(codes))
    text = f"{compiler.unit.bind(choose, 'g')}({tuple_text([code.text for code in codes])})"
    return compiler.wrap(text, codes, nullable=all(code.nullable for code in codes), extra=3)


_INTEGERS = frozenset((INT2, INT4, INT8))
_STRINGS = frozenset((TEXT, VARCHAR))


def _plain_equality(compiler: Compiler, node: ex.ArrayOp) -> bool:
    """Whether the operator is ``=`` under ANY with Python's own equality on both sides: the built-in one of one type,
    or of integers. Between other types, as date and timestamp, equal values are other objects."""
    if not node.use_or or not 0 < node.operator < FIRST_NORMAL_OID:
        return False
    if compiler.linker.operator(node.operator).name != "=":
        return False
    array_type = compiler.linker.type(node.right.type)
    element = compiler.linker.type(array_type.element) if array_type.element else None
    left = compiler.linker.type(node.left.type)
    if element is None or element.sort_value is not None or left.sort_value is not None:
        return False
    kinds = {left.root.oid, element.root.oid}
    return len(kinds) == 1 or kinds <= _INTEGERS or kinds <= _STRINGS


def _constants(node: ex.Expr) -> list[Datum] | None:
    """The elements of a constant one-dimensional array."""
    if isinstance(node, ex.ArrayExpr) and not node.nested:
        if all(isinstance(element, ex.Const) for element in node.elements):
            return [element.value for element in node.elements if isinstance(element, ex.Const)]
        return None
    if isinstance(node, ex.Const) and isinstance(node.value, list):
        return None if any(isinstance(item, list) for item in node.value) else node.value
    return None


@handles(TRUTH_HANDLERS, ex.ArrayOp)
def _array_op_truth(compiler: Compiler, node: ex.ArrayOp) -> Code:
    if not _plain_equality(compiler, node):
        return _array_op(compiler, node)
    left = compiler.value(node.left)
    first, again = compiler.named(left)
    constants = _constants(node.right)
    if constants is not None:
        found = compiler.unit.bind(frozenset(item for item in constants if item is not None), "k")
        return compiler.wrap(f"{first} is not None and {again} in {found}", (left,), nullable=False)
    right = node.right
    if isinstance(right, ex.ArrayExpr) and not right.nested:
        items = [compiler.value(element) for element in right.elements]
        text = f"{first} is not None and {again} in {tuple_text([item.text for item in items])}"
        return compiler.wrap(text, (left, *items), nullable=False, extra=2)
    return _array_op(compiler, node)


@handles(VALUE_HANDLERS, ex.ArrayOp)
def _array_op(compiler: Compiler, node: ex.ArrayOp) -> Code:
    function = compiler.linker.function(node.function)
    left = compiler.value(node.left)
    is_plain = _plain_equality(compiler, node)
    constants = _constants(node.right) if is_plain else None
    if constants:
        choices = frozenset(item for item in constants if item is not None)
        test = runtime.membership(choices, None in constants)
        return strict_apply(compiler, test, left)
    right = compiler.value(node.right)
    element = compiler.linker.type(node.right.type).element
    apply: Callable[..., Datum] = implementation_of(compiler.linker, function, (node.left.type, element), node.type)
    context = context_text(function) if function.needs_context else "None"
    quantified = runtime.quantified(apply, function.strict, node.use_or, function.needs_context)
    if is_plain:
        quantified = runtime.contained(quantified)
    text = f"{compiler.unit.bind(quantified, 'g')}({context}, {left.text}, {right.text})"
    return compiler.wrap(text, (left, right), nullable=True, extra=3)

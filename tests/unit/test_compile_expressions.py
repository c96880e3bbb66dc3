"""The expression compiler: three-valued logic against a reference, laziness, depth, arrays, rows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import ArraySubscriptError, DivisionByZero, NotSupported, StatementTooComplex
from compute_node.exec import build
from compute_node.exec.compile.rows import batch_function, truth_function, value_function
from compute_node.exec.compile.unit import row_scope
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.array_value import array_of_arrays
from tests.unit.support_exec import FakeCatalog, FakeStorage, context
from tests.unit.test_exec_nodes import col, const, op, planned

INT4, BOOL, TEXT, INT4_ARRAY = 23, 16, 25, 1007
CATALOG: Any = FakeCatalog()


def value(node: ex.Expr, row: tuple[Any, ...] = ()) -> Any:
    return value_function(CATALOG, node, row_scope(None), "c, r")(context(FakeStorage()), row)


def truth(node: ex.Expr, row: tuple[Any, ...] = ()) -> bool:
    return bool(truth_function(CATALOG, node)(context(FakeStorage()), row))


def boolean(constant: bool | None) -> ex.Const:
    return ex.Const(type=BOOL, value=constant)


ATOMS = st.one_of(
    st.sampled_from([True, False, None]).map(boolean),
    st.integers(0, 2).map(lambda index: ex.Column(type=BOOL, index=index)),
)


def _compound(inner: st.SearchStrategy[ex.Expr]) -> st.SearchStrategy[ex.Expr]:
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(
        several.map(lambda items: ex.And(type=BOOL, arguments=items)),
        several.map(lambda items: ex.Or(type=BOOL, arguments=items)),
        inner.map(lambda item: ex.Not(type=BOOL, argument=item)),
        st.tuples(inner, st.booleans()).map(lambda p: ex.NullTest(type=BOOL, argument=p[0], negated=p[1])),
        st.tuples(inner, st.sampled_from([True, False, None]), st.booleans()).map(
            lambda p: ex.BooleanTest(type=BOOL, argument=p[0], target=p[1], negated=p[2])
        ),
        st.tuples(inner, inner).map(lambda p: op("=", *p)),
        st.tuples(inner, inner, st.booleans()).map(
            lambda p: ex.DistinctTest(type=BOOL, left=p[0], right=p[1], equality=60, negated=p[2])
        ),
        st.tuples(inner, inner).map(lambda p: ex.NullIf(type=BOOL, left=p[0], right=p[1], equality=60)),
        several.map(lambda items: ex.Coalesce(type=BOOL, arguments=items)),
        st.tuples(inner, inner, inner).map(lambda p: ex.Case(type=BOOL, operand=None, branches=(p[:2],), default=p[2])),
        st.tuples(inner, inner, inner).map(
            lambda p: ex.Case(
                type=BOOL,
                operand=p[0],
                branches=((op("=", ex.ElementValue(type=BOOL), p[1]), p[2]),),
                default=boolean(None),
            )
        ),
    )


def reference(node: Any, row: tuple[Any, ...], element: Any = None) -> Any:
    """SQL's rules, directly."""

    def of(child: ex.Expr) -> Any:
        return reference(child, row, element)

    match node:
        case ex.Const():
            return node.value
        case ex.Column():
            return row[node.index]
        case ex.ElementValue():
            return element
        case ex.And():
            values = [of(item) for item in node.arguments]
            return False if False in values else None if None in values else True
        case ex.Or():
            values = [of(item) for item in node.arguments]
            return True if True in values else None if None in values else False
        case ex.Not():
            inner = of(node.argument)
            return None if inner is None else not inner
        case ex.NullTest():
            return (of(node.argument) is None) is not node.negated
        case ex.BooleanTest():
            return (of(node.argument) is node.target) is not node.negated
        case ex.Call():
            left, right = map(of, node.arguments)
            return None if left is None or right is None else left == right
        case ex.DistinctTest():
            return (of(node.left) is of(node.right)) is node.negated
        case ex.NullIf():
            left, right = of(node.left), of(node.right)
            return None if left is not None and left is right else left
        case ex.Coalesce():
            return next((item for item in map(of, node.arguments) if item is not None), None)
        case ex.Case():
            operand = of(node.operand) if node.operand is not None else element
            for condition, result in node.branches:
                if reference(condition, row, operand) is True:
                    return of(result)
            return of(node.default)
    raise AssertionError(node)


@given(st.recursive(ATOMS, _compound, max_leaves=12), st.tuples(*[st.sampled_from([True, False, None])] * 3))
def test_logic_agrees_with_the_reference(node: ex.Expr, row: tuple[Any, ...]) -> None:
    expected = reference(node, row)
    assert value(node, row) is expected
    assert truth(node, row) is (expected is True)
    negation = ex.Not(type=BOOL, argument=node)
    assert truth(negation, row) is (expected is False)


def test_known_not_null_columns_give_the_same() -> None:
    node = ex.And(type=BOOL, arguments=(op("<", col(0), const(5)), op(">", op("+", col(0), col(1)), const(3))))
    rows = [(1, 2), (2, 2), (7, 9)]
    shape = batch_function(CATALOG, (col(1), col(0)), node, 2, (False, False))
    assert shape is not None
    assert shape(context(FakeStorage()), rows) == [(2, 2)]


def test_case_and_coalesce_are_lazy() -> None:
    boom = op("/", const(1), const(0))
    guarded = ex.Case(
        type=INT4, operand=None, branches=((op("=", col(0), const(0)), const(-1)),), default=op("/", const(10), col(0))
    )
    assert value(guarded, (0,)) == -1
    assert value(guarded, (5,)) == 2
    assert value(ex.Coalesce(type=INT4, arguments=(const(3), boom))) == 3
    with pytest.raises(DivisionByZero):
        value(boom)


def test_deep_and_wide_expressions() -> None:
    deep: ex.Expr = const(0)
    for _ in range(200):
        deep = op("+", deep, col(0))
    assert value(deep, (1,)) == 200
    wide = ex.Or(type=BOOL, arguments=tuple(op("=", col(0), const(n)) for n in range(3000)))
    assert value(wide, (2999,)) is True
    assert truth(wide, (-1,)) is False
    branches = tuple((op("=", col(0), const(n)), const(n * 2)) for n in range(500))
    assert value(ex.Case(type=INT4, operand=None, branches=branches, default=None), (499,)) == 998
    for _ in range(20000):
        deep = op("+", deep, col(0))
    with pytest.raises(StatementTooComplex) as refused:
        build(planned(pl.Result(output=(deep,))), CATALOG)
    assert refused.value.message == "stack depth limit exceeded"


def array(*values: int | None) -> ex.ArrayExpr:
    return ex.ArrayExpr(type=INT4_ARRAY, element_type=INT4, elements=tuple(const(item) for item in values))


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    ("left", "items", "any_", "all_"),
    [
        (1, (1, 2), True, False),
        (3, (1, 2), False, False),
        (3, (1, None), None, False),
        (1, (1, None), True, None),
        (None, (1, 2), None, None),
        (None, (), False, True),
        (1, (1, 1), True, True),
    ],
)
def test_quantified_arrays(hidden: bool, left: int | None, items: Any, any_: Any, all_: Any) -> None:
    def quantified(use_or: bool) -> ex.ArrayOp:
        right: ex.Expr = col(1, INT4_ARRAY) if hidden else array(*items)
        return ex.ArrayOp(type=BOOL, function=65, operator=96, left=col(0), right=right, use_or=use_or)

    row = (left, list(items))
    assert value(quantified(True), row) is any_
    assert truth(quantified(True), row) is (any_ is True)
    assert value(quantified(False), row) is all_


def test_subscripts_and_slices() -> None:
    items = [10, 20, 30]

    def at(*indexes: Any, container: int = INT4_ARRAY) -> ex.Subscript:
        return ex.Subscript(type=INT4, container=col(0, container), indexes=tuple(const(item) for item in indexes))

    assert value(at(2), (items,)) == 20
    assert value(at(0), (items,)) is None
    assert value(at(4), (items,)) is None
    assert value(at(None), (items,)) is None
    assert value(at(0, container=22), (items,)) == 10
    assert value(at(2, 1), ([[1, 2], [3, 4]],)) == 3
    assert value(at(2), ([[1, 2], [3, 4]],)) is None

    def cut(*pairs: tuple[Any, Any]) -> ex.Subscript:
        slices = tuple(tuple(None if item is ... else const(item) for item in pair) for pair in pairs)
        return ex.Subscript(type=INT4_ARRAY, container=col(0, INT4_ARRAY), indexes=(), slices=slices)  # type: ignore[arg-type]

    assert value(cut((2, ...)), (items,)) == [20, 30]
    assert value(cut((..., 2)), (items,)) == [10, 20]
    assert value(cut((3, 1)), (items,)) == []
    assert value(cut((1, None)), (items,)) is None
    assert value(cut((1, 2), (2, 2)), ([[1, 2], [3, 4]],)) == [[2], [4]]
    with pytest.raises(ArraySubscriptError):
        array_of_arrays([[1, 2], [3]])


@pytest.mark.parametrize(
    ("kind", "left", "right", "expected"),
    [
        ("<", (1, 2), (1, 3), True),
        ("<", (1, 3), (1, 3), False),
        ("<=", (1, 3), (1, 3), True),
        (">", (2, None), (1, 3), True),
        (">", (1, None), (1, 3), None),
        (">=", (1, 3), (1, 3), True),
        (">=", (1, 2), (1, 3), False),
    ],
)
def test_row_comparison(kind: str, left: Any, right: Any, expected: Any) -> None:
    node = ex.RowCompare(
        type=BOOL, kind=kind, less=(66, 66), equal=(65, 65), left=(col(0), col(1)), right=(col(2), col(3))
    )
    assert value(node, (*left, *right)) is expected


def test_greatest_least_and_element_coercion() -> None:
    items = (col(0), col(1), col(2))
    assert value(ex.MinMax(type=INT4, arguments=items, greatest=True), (1, None, 3)) == 3
    assert value(ex.MinMax(type=INT4, arguments=items, greatest=False), (None, None, None)) is None
    twice = ex.ArrayCoerce(
        type=INT4_ARRAY, argument=col(0, INT4_ARRAY), element=op("+", ex.ElementValue(type=INT4), col(1))
    )
    assert value(twice, ([1, [2, None]], 10)) == [11, [12, None]]
    text = ex.CoerceViaIO(type=TEXT, argument=col(0))
    assert value(text, (42,)) == "42"
    assert value(text, (None,)) is None


def test_rows_and_null_tests() -> None:
    row = ex.RowExpr(type=2249, arguments=(col(0), col(1)))

    def tested(negated: bool, *fields: Any) -> bool:
        return bool(value(ex.NullTest(type=BOOL, argument=row, negated=negated), fields))

    assert tested(False, None, None)
    assert not tested(False, 1, None)
    assert not tested(True, 1, None)
    assert tested(True, 1, 2)
    assert value(ex.FieldSelect(type=INT4, argument=row, index=1), (1, 2)) == 2


def test_set_returning_function_in_a_filter_is_refused() -> None:
    series = ex.Call(type=INT4, function=1067, arguments=(const(1), const(2)))
    if 1067 not in compute_functions():
        pytest.skip("generate_series is not declared")
    with pytest.raises(NotSupported, match="set-valued function called in context"):
        value(op("+", series, const(1)))


def compute_functions() -> dict[int, Any]:
    from compute_node.types.registry import REGISTRY

    return REGISTRY.functions

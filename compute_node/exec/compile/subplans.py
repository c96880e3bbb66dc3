"""Sub-selects in expressions: calls of the runners that ``compute_node.exec.subplan`` makes."""

from __future__ import annotations

from aurora.errors import NotSupported
from compute_node.exec.compile.compiler import VALUE_HANDLERS, Compiler, handles, tuple_text
from compute_node.exec.compile.unit import Code
from compute_node.sql import expressions as ex


@handles(VALUE_HANDLERS, ex.SubPlan)
def _subplan(compiler: Compiler, node: ex.SubPlan) -> Code:
    unit, scope = compiler.unit, compiler.scope
    arguments = [compiler.value(expression) for _, expression in node.parameters]
    runner = compiler.linker.subplan(node)
    name = unit.bind(runner, "s")
    given = tuple_text([code.text for code in arguments]) if arguments else "()"
    if node.kind in ("EXISTS", "EXPR", "ARRAY"):
        return compiler.wrap(f"{name}.run(c, {given})", arguments, nullable=node.kind == "EXPR", extra=3)
    if node.kind not in ("ANY", "ALL") or node.test is None:
        raise NotSupported(f"sub-selects of kind {node.kind} are not supported")
    pairs = runner.hash_pairs
    if pairs is not None:
        left = [compiler.value(expression) for expression, _ in pairs]
        text = f"{name}.probe(c, {given}, {tuple_text([code.text for code in left])})"
        return compiler.wrap(text, (*arguments, *left), nullable=True, extra=3)
    # The test sees the outer row and, as q, each row of the sub-select in turn.
    unit.uses_params = unit.uses_exec_params = True
    variables = scope.variables
    scope.variables = tuple([name for name in variables if name != "q"])
    outer = scope.arguments
    scope.variables += ("q",)
    try:
        # Helper functions of the test take q as well.
        test = compiler.value(node.test)
        inner = scope.arguments
    finally:
        scope.variables = variables
    tester = unit.helper(inner, [f"return {test.text}"])
    maker = unit.helper(outer, [f"return lambda q: {tester}({inner})"])
    return compiler.wrap(f"{name}.quantify(c, {given}, {maker}({outer}))", arguments, nullable=True, extra=4)

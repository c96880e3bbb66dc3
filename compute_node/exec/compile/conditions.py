"""Three-valued logic: AND, OR, NOT, the IS tests, CASE, COALESCE, NULLIF, row comparison."""

from __future__ import annotations

from compute_node.exec.compile.calls import guarded, truth_of
from compute_node.exec.compile.compiler import FALSITY_HANDLERS, TRUTH_HANDLERS, VALUE_HANDLERS, Compiler, handles
from compute_node.exec.compile.runtime import row_is_not_null, row_is_null
from compute_node.exec.compile.unit import Code
from compute_node.sql import expressions as ex
from compute_node.types.oids import RECORD


def _nary(compiler: Compiler, arguments: tuple[ex.Expr, ...], deciding: bool) -> Code:
    """AND (False decides) or OR (True decides) as a value."""
    codes = [compiler.value(argument) for argument in arguments]
    if not any(code.nullable for code in codes):
        word = " or " if deciding else " and "
        return compiler.wrap(word.join(code.text for code in codes), codes, nullable=False)
    named = [compiler.named(code) for code in codes]
    decided = " or ".join(f"{first} is {deciding}" for first, _ in named)
    unknown = " or ".join(f"{again} is None" for _, again in named)
    return compiler.wrap(f"{deciding} if {decided} else None if {unknown} else {not deciding}", codes, nullable=True)


@handles(VALUE_HANDLERS, ex.And)
def _and(compiler: Compiler, node: ex.And) -> Code:
    return _nary(compiler, node.arguments, deciding=False)


@handles(VALUE_HANDLERS, ex.Or)
def _or(compiler: Compiler, node: ex.Or) -> Code:
    return _nary(compiler, node.arguments, deciding=True)


def _joined(compiler: Compiler, codes: list[Code], word: str) -> Code:
    return compiler.wrap(f" {word} ".join(code.text for code in codes), codes, nullable=True)


@handles(TRUTH_HANDLERS, ex.And)
def _and_truth(compiler: Compiler, node: ex.And) -> Code:
    return _joined(compiler, [compiler.truth(argument) for argument in node.arguments], "and")


@handles(TRUTH_HANDLERS, ex.Or)
def _or_truth(compiler: Compiler, node: ex.Or) -> Code:
    return _joined(compiler, [compiler.truth(argument) for argument in node.arguments], "or")


@handles(FALSITY_HANDLERS, ex.And)
def _and_falsity(compiler: Compiler, node: ex.And) -> Code:
    return _joined(compiler, [compiler.falsity(argument) for argument in node.arguments], "or")


@handles(FALSITY_HANDLERS, ex.Or)
def _or_falsity(compiler: Compiler, node: ex.Or) -> Code:
    return _joined(compiler, [compiler.falsity(argument) for argument in node.arguments], "and")


@handles(VALUE_HANDLERS, ex.Not)
def _not(compiler: Compiler, node: ex.Not) -> Code:
    inner = compiler.value(node.argument)
    if not inner.nullable:
        return compiler.wrap(f"not {inner.text}", (inner,), nullable=False)
    first, again = compiler.named(inner)
    return compiler.wrap(f"None if {first} is None else not {again}", (inner,), nullable=True)


@handles(TRUTH_HANDLERS, ex.Not)
def _not_truth(compiler: Compiler, node: ex.Not) -> Code:
    return compiler.falsity(node.argument)


@handles(FALSITY_HANDLERS, ex.Not)
def _not_falsity(compiler: Compiler, node: ex.Not) -> Code:
    return compiler.truth(node.argument)


@handles(VALUE_HANDLERS, ex.NullTest)
def _null_test(compiler: Compiler, node: ex.NullTest) -> Code:
    inner = compiler.value(node.argument)
    kind = compiler.linker.type(node.argument.type).root
    if not node.as_value and (kind.oid == RECORD or kind.kind == "c"):
        # A row IS NULL when all its fields are, IS NOT NULL when none is.
        name = compiler.unit.bind(row_is_not_null if node.negated else row_is_null, "g")
        return compiler.wrap(f"{name}({inner.text})", (inner,), nullable=False, extra=2)
    return compiler.wrap(f"{inner.text} is {'not ' if node.negated else ''}None", (inner,), nullable=False)


@handles(VALUE_HANDLERS, ex.BooleanTest)
def _boolean_test(compiler: Compiler, node: ex.BooleanTest) -> Code:
    inner = compiler.value(node.argument)
    return compiler.wrap(f"{inner.text} is {'not ' if node.negated else ''}{node.target}", (inner,), nullable=False)


def _equality(compiler: Compiler, function: int, left: str, right: str, types: tuple[int, int], result: int) -> str:
    """Truth of ``left = right`` for two names that are known not to be NULL."""
    atoms = [Code(left, False, True, 0), Code(right, False, True, 0)]
    return truth_of(compiler, guarded(compiler, compiler.linker.function(function), atoms, types, result)).text


@handles(VALUE_HANDLERS, ex.DistinctTest)
def _distinct_test(compiler: Compiler, node: ex.DistinctTest) -> Code:
    left, right = compiler.value(node.left), compiler.value(node.right)
    (a_first, a), (b_first, b) = compiler.named(left), compiler.named(right)
    equal = _equality(compiler, node.equality, a, b, (node.left.type, node.right.type), 16)
    if node.negated:
        text = f"{b_first} is None if {a_first} is None else {b_first} is not None and {equal}"
        return compiler.wrap(f"True if ({text}) else False", (left, right), nullable=False, extra=5)
    text = f"{b_first} is not None if {a_first} is None else {b_first} is None or not {equal}"
    return compiler.wrap(text, (left, right), nullable=False, extra=5)


@handles(VALUE_HANDLERS, ex.NullIf)
def _null_if(compiler: Compiler, node: ex.NullIf) -> Code:
    left, right = compiler.value(node.left), compiler.value(node.right)
    (a_first, a), (b_first, b) = compiler.named(left), compiler.named(right)
    equal = _equality(compiler, node.equality, a, b, (node.left.type, node.right.type), 16)
    text = f"{a} if {a_first} is None or {b_first} is None or not {equal} else None"
    return compiler.wrap(text, (left, right), nullable=True, extra=5)


@handles(VALUE_HANDLERS, ex.Case)
def _case(compiler: Compiler, node: ex.Case) -> Code:
    parts: list[Code] = []
    prefix = ""
    if node.operand is not None:
        operand = compiler.value(node.operand)
        parts.append(operand)
        name = compiler.unit.fresh("e")
        prefix = f"({name} := {operand.text})"
        compiler.scope.elements.append(name)
    steps = []
    for condition, result in node.branches:
        test, value = compiler.truth(condition), compiler.value(result)
        parts += (test, value)
        steps.append((test.text, value.text))
    last = "None"
    if node.default is not None:
        default = compiler.value(node.default)
        parts.append(default)
        last = default.text
    chain = compiler.chain(steps, last, parts)
    if node.operand is not None:
        compiler.scope.elements.pop()
        # The operand is named first, whatever its value; a walrus inside the tests would be evaluated again per test.
        return compiler.wrap(f"{chain.text} if {prefix} is None or True else None", (chain, *parts), nullable=True)
    return chain


@handles(VALUE_HANDLERS, ex.Coalesce)
def _coalesce(compiler: Compiler, node: ex.Coalesce) -> Code:
    codes = [compiler.value(argument) for argument in node.arguments]
    steps = []
    for code in codes[:-1]:
        first, again = compiler.named(code)
        steps.append((f"{first} is not None", again))
    chain = compiler.chain(steps, codes[-1].text, codes)
    return Code(chain.text, all(code.nullable for code in codes), False, chain.depth)


@handles(VALUE_HANDLERS, ex.RowCompare)
def _row_compare(compiler: Compiler, node: ex.RowCompare) -> Code:
    body = []
    ascending = node.kind.startswith("<")
    linker = compiler.linker
    for index, (left, right) in enumerate(zip(node.left, node.right, strict=True)):
        a, b = f"a{index}", f"b{index}"
        types = (left.type, right.type)
        body.append(f"{a} = {compiler.value(left).text}")
        body.append(f"{b} = {compiler.value(right).text}")
        body.append(f"if {a} is None or {b} is None: return None")
        atoms = [Code(a, False, True, 0), Code(b, False, True, 0)]
        less = truth_of(compiler, guarded(compiler, linker.function(node.less[index]), atoms, types, 16)).text
        equal = _equality(compiler, node.equal[index], a, b, types, 16)
        body.append(f"if not {equal}: return {'True if ' + less + ' else False' if ascending else 'not ' + less}")
    body.append(f"return {node.kind.endswith('=')}")
    compiler.unit.uses_params = compiler.unit.uses_exec_params = True
    arguments = compiler.scope.arguments
    return Code(f"{compiler.unit.helper(arguments, body)}({arguments})", True)

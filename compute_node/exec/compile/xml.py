"""XMLELEMENT, XMLFOREST, XMLPARSE … (``compute_node/types/xml/publish.py``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aurora.datum import Datum
from compute_node.exec.compile.compiler import VALUE_HANDLERS, Compiler, handles, tuple_text
from compute_node.exec.compile.unit import Code
from compute_node.sql import expressions as ex
from compute_node.types.registry import PgType, TypeEnv
from compute_node.types.xml import publish
from compute_node.types.xml.value import is_document

Values = Sequence[Datum]
Run = Callable[[Values, Values, TypeEnv], Datum]
_DEFAULT = 3


def _run(node: ex.XmlExpr, named: list[PgType], types: list[PgType]) -> Run:
    """A function of the named arguments, the others and the session's settings."""
    kind, name, names, document = node.kind, node.name, node.names, node.document
    if kind == "xmlelement":
        return lambda given, values, env: publish.element(name, names, given, named, values, types, env)
    if kind == "xmlforest":
        return lambda given, values, env: publish.forest(names, given, named, env)
    if kind == "xmlconcat":
        return lambda given, values, env: publish.concatenated(values)
    if kind == "xmlparse":
        return lambda given, values, env: publish.parsed(values[0], document)
    if kind == "xmlpi":
        has_text = bool(types)
        return lambda given, values, env: publish.instruction(name, has_text, values[0] if has_text else None)
    if kind == "xmlroot":
        return lambda given, values, env: publish.root(
            values[0], values[1], _DEFAULT if values[2] is None else values[2]
        )
    if kind == "xmlserialize":
        return lambda given, values, env: publish.serialized(values[0], document)
    return lambda given, values, env: None if values[0] is None else is_document(values[0])


@handles(VALUE_HANDLERS, ex.XmlExpr)
def _xml(compiler: Compiler, node: ex.XmlExpr) -> Code:
    named = [compiler.value(each) for each in node.named]
    values = [compiler.value(each) for each in node.arguments]
    run = _run(
        node,
        [compiler.linker.type(each.type) for each in node.named],
        [compiler.linker.type(each.type) for each in node.arguments],
    )
    texts = [tuple_text([code.text for code in codes]) for codes in (named, values)]
    text = f"{compiler.unit.bind(run, 'g')}({texts[0]}, {texts[1]}, c.env)"
    return compiler.wrap(text, [*named, *values], nullable=True, extra=3)

"""Plan expressions as SQL text, the way PostgreSQL's EXPLAIN words them: operators in parentheses, casts with
``::``."""

from __future__ import annotations

import re
from collections.abc import Callable

from aurora.datum import Datum
from compute_node.exec.compile.compiler import Linker
from compute_node.sql import expressions as ex
from compute_node.sql.analyze.typenames import WITHOUT_LENGTH
from compute_node.types.collation import collation_of
from compute_node.types.oids import BOOL, FLOAT8, INT4, NUMERIC
from compute_node.types.registry import TypeEnv
from compute_node.types.string_functions import quote_identifier

Names = Callable[[int, int], str]
"""(side, index) of a Column → its text"""

_PLAIN_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_$]*")
_BARE = (INT4, NUMERIC, FLOAT8)


def quoted(name: str) -> str:
    """An identifier, quoted when it needs to be."""
    return name if _PLAIN_IDENTIFIER.fullmatch(name) else '"' + name.replace('"', '""') + '"'


class Wording:
    """Words the expressions of one statement."""

    def __init__(self, linker: Linker, env: TypeEnv, schema_name: Callable[[int], str]) -> None:
        self._linker = linker
        self._env = env
        self._schema_name = schema_name
        self.given: dict[int, str] = {}
        """execution parameters that are set from a row above, as that row's expressions are worded"""
        self.returned: dict[int, str] = {}
        """sub-plans that run once → the parameter that each sets"""

    def type_name(self, oid: int) -> str:
        """The type as format_type spells it."""
        item = self._linker.type(oid)
        element = item.element if item.name.startswith("_") else 0
        if oid in WITHOUT_LENGTH or element in WITHOUT_LENGTH:
            return WITHOUT_LENGTH[element] + "[]" if element else WITHOUT_LENGTH[oid]
        if item.formatted_name is not None:
            return item.formatted_name
        if element:
            return self.type_name(element) + "[]"
        return item.name

    def function_name(self, oid: int) -> str:
        """A function's name."""
        return self._linker.function(oid).name

    def function_schema(self, call: ex.Call) -> str:
        """The schema of a function."""
        return self._schema_name(self._linker.function(call.function).namespace)

    def shown(self, node: ex.Expr, names: Names) -> str:
        """What a node computes, without an implicit cast around it."""
        cast = node.argument if isinstance(node, ex.CoerceTypmod) else node
        while isinstance(cast, ex.Call) and cast.display == "coercion" and cast.arguments:
            node = cast = cast.arguments[0]
        return self.text(node, names)

    def text(self, node: ex.Expr, names: Names) -> str:
        """The expression; 'names' words its columns."""

        def word(child: ex.Expr) -> str:
            return self.text(child, names)

        match node:
            case ex.Const():
                return self._constant(node)
            case ex.Param():
                return f"${node.number}"
            case ex.ExecParam():
                return self.given.get(node.number) or f"${node.number}"
            case ex.Column():
                return names(node.side, node.index)
            case ex.Call():
                return self._call(node, word)
            case ex.Relabel() if collation_of(node.type):
                return word(node.argument)
            case ex.Collate():
                return word(node.argument)
            case ex.Relabel():
                return f"({word(node.argument)})::{self.type_name(node.type)}"
            case ex.CoerceViaIO() | ex.ArrayCoerce():
                return f"({word(node.argument)})::{self.type_name(node.type)}"
            case ex.CoerceTypmod():
                return word(node.argument)
            case ex.And() | ex.Or():
                joint = " AND " if isinstance(node, ex.And) else " OR "
                return f"({joint.join(word(item) for item in node.arguments)})"
            case ex.Not():
                return f"(NOT {word(node.argument)})"
            case ex.NullTest():
                return f"({word(node.argument)} IS {'NOT ' if node.negated else ''}NULL)"
            case ex.BooleanTest():
                target = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[node.target]
                return f"({word(node.argument)} IS {'NOT ' if node.negated else ''}{target})"
            case ex.DistinctTest():
                return f"({word(node.left)} IS {'NOT ' if node.negated else ''}DISTINCT FROM {word(node.right)})"
            case ex.ArrayOp():
                operator = self._linker.operator(node.operator).name if node.operator else "="
                return f"({word(node.left)} {operator} {'ANY' if node.use_or else 'ALL'} ({word(node.right)}))"
            case ex.Case():
                return self._case(node, word)
            case ex.AggregateCall():
                return self._aggregate(node, word)
            case ex.WindowCall():
                return f"{self._aggregate(node, word)} OVER (?)"
            case ex.SubPlan() if node.plan in self.returned:
                return self.returned[node.plan]
            case ex.SubPlan():
                prefix = "hashed " if node.hashed else ""
                return f"({prefix}SubPlan {node.plan + 1})"
            case ex.SqlValue():
                return node.name.upper()
            case ex.CurrentOf():
                return f"CURRENT OF {quoted(node.cursor)}"
            case ex.Subscript():
                return self._container(node.container, word) + "".join(
                    f"[{word(item)}]" for item in node.indexes if item is not None
                )
            case ex.FieldSelect():
                return self._field(node, word)
            case ex.CoerceToDomain():
                inner = word(node.argument)
                return inner if node.implicit else f"({inner})::{self.type_name(node.type)}"
            case ex.ElementValue():
                return "$element"
            case ex.RowCompare():
                left, right = ", ".join(map(word, node.left)), ", ".join(map(word, node.right))
                return f"(ROW({left}) {node.kind} ROW({right}))"
        return self._functional(node, word)

    @staticmethod
    def _container(node: ex.Expr, word: Callable[[ex.Expr], str]) -> str:
        while isinstance(node, ex.Relabel) and node.implicit:
            node = node.argument
        return word(node) if isinstance(node, (ex.Column, ex.FieldSelect)) else f"({word(node)})"

    def _field(self, node: ex.FieldSelect, word: Callable[[ex.Expr], str]) -> str:
        fields = self._linker.type(node.argument.type).root.fields
        name = fields[node.index].name if fields else f"f{node.index + 1}"
        inner = word(node.argument)
        return f"{inner}.{name}" if isinstance(node.argument, (ex.Subscript, ex.FieldSelect)) else f"({inner}).{name}"

    def _functional(self, node: ex.Expr, word: Callable[[ex.Expr], str]) -> str:
        """Constructs that look like function calls."""
        names: dict[type, str] = {ex.Coalesce: "COALESCE", ex.NullIf: "NULLIF", ex.RowExpr: "ROW"}
        items = ", ".join(word(child) for child in ex.children(node))
        if isinstance(node, ex.ArrayExpr):
            return f"ARRAY[{items}]"
        if isinstance(node, ex.MinMax):
            return f"{'GREATEST' if node.greatest else 'LEAST'}({items})"
        return f"{names.get(type(node), type(node).__name__.upper())}({items})"

    def _constant(self, node: ex.Const) -> str:
        if node.value is None:
            return f"NULL::{self.type_name(node.type)}"
        if node.type == BOOL:
            return "true" if node.value else "false"
        text = self._linker.type(node.type).output(node.value, self._env)
        is_bare = node.type in _BARE and text[:1] != "-" and text[:1].isdigit()
        if is_bare and (node.type != NUMERIC or not text.isdigit()):
            return text if node.type != FLOAT8 else f"'{text}'::double precision"
        escaped = text.replace("'", "''")
        return f"'{escaped}'::{self.type_name(node.type)}"

    def _call(self, node: ex.Call, word: Callable[[ex.Expr], str]) -> str:
        if node.operator:
            name = self._linker.operator(node.operator).name
            if len(node.arguments) == 1:
                return f"({name} {word(node.arguments[0])})"
            return f"({word(node.arguments[0])} {name} {word(node.arguments[1])})"
        if node.display in ("cast", "coercion") and node.arguments:
            inner = word(node.arguments[0])
            return f"({inner})::{self.type_name(node.type)}"
        function = self._linker.function(node.function)
        return f"{quoted(function.name)}({', '.join(word(item) for item in node.arguments)})"

    def _case(self, node: ex.Case, word: Callable[[ex.Expr], str]) -> str:
        parts = ["CASE"]
        if node.operand is not None:
            parts.append(word(node.operand))
        for condition, result in node.branches:
            parts.append(f"WHEN {word(condition)} THEN {word(result)}")
        if node.default is not None:
            parts.append(f"ELSE {word(node.default)}")
        return " ".join([*parts, "END"])

    def _aggregate(self, node: ex.AggregateCall | ex.WindowCall, word: Callable[[ex.Expr], str]) -> str:
        name = self._linker.function(node.function).name
        arguments = "*" if node.star else ", ".join(word(item) for item in node.arguments)
        distinct = isinstance(node, ex.AggregateCall) and node.distinct
        text = f"{quoted(name)}({'DISTINCT ' if distinct else ''}{arguments})"
        if node.filter is not None:
            text += f" FILTER (WHERE {word(node.filter)})"
        return text

    def key(self, key: Datum, names: Names) -> str:
        """A sort key with its direction, where that is not the default."""
        text = self.text(key.expression, names)
        if collation_of(key.type) and (under := self._linker.type(key.type).collated) is not None:
            text += f" COLLATE {quote_identifier(under.name)}"
        if key.descending:
            text += " DESC"
        if key.nulls_first != key.descending:
            text += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
        return text

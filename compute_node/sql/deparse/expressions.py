"""Expressions → SQL text in PostgreSQL's spelling: EXPLAIN's conditions, pg_get_expr, check and default texts.

``Deparser`` asks its ``name`` for leaves that only the caller knows (columns). The result of a stored expression parses
back to the same expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from aurora.errors import InvariantViolation
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import NAMESPACE_CATALOG
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.analyze.names import SYSTEM_NAMES
from compute_node.sql.analyze.typenames import WITHOUT_LENGTH, format_type, is_true_array
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.layout import ITEM, Layout, finished
from compute_node.sql.expressions import (
    AggregateCall,
    And,
    ArrayCoerce,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Case,
    Coalesce,
    CoerceToDomain,
    CoerceTypmod,
    CoerceViaIO,
    Collate,
    Const,
    DistinctTest,
    DomainValue,
    ElementValue,
    Expr,
    FieldSelect,
    FieldStore,
    GroupingCall,
    MinMax,
    Not,
    NullIf,
    NullTest,
    Or,
    Param,
    Relabel,
    RowCompare,
    RowExpr,
    SetDefault,
    SortKey,
    SqlValue,
    SubColumn,
    Subscript,
    Var,
    WindowCall,
    XmlExpr,
)
from compute_node.types import oids
from compute_node.types.collation import collation_of
from compute_node.types.registry import Function, TypeEnv
from compute_node.types.xml.names import identifier_of

Namer = Callable[[Expr], str]


def direction(key: SortKey[Expr] | SortKey[int]) -> str:
    """The order of a key, where it is not the usual one."""
    if key.descending:
        return " DESC" if key.nulls_first else " DESC NULLS LAST"
    return " NULLS FIRST" if key.nulls_first else ""


_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")
_STANDALONE: dict[Any, str] = {0: ", STANDALONE YES", 1: ", STANDALONE NO", 2: ", STANDALONE NO VALUE"}
_BARE_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def quote_identifier(name: str) -> str:
    """The identifier, quoted where it must be."""
    from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

    reserved = name in RESERVED_KEYWORDS or name in COL_NAME_KEYWORDS or name in TYPE_FUNC_NAME_KEYWORDS
    if _PLAIN.fullmatch(name) and not reserved:
        return name
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """The text as a string literal, as standard_conforming_strings reads it."""
    return "'" + text.replace("'", "''") + "'"


class Deparser:
    """Text of one expression. ``env`` decides how values of settings-dependent types are written."""

    def __init__(
        self, catalog: CatalogView, name: Namer, env: TypeEnv = DEFAULT_ENV, layout: Layout | None = None
    ) -> None:
        self.catalog = catalog
        self.name = name
        self.env = env
        self.layout = layout or Layout()

    def text(self, node: Expr, show_implicit: bool = False) -> str:
        """The expression's text; implicit casts only where ``show_implicit``."""
        handler = _HANDLERS.get(type(node))
        if handler is None:
            return self.name(node)
        # By name, so that a subclass may write some of them in another way.
        result: str = getattr(self, handler.__name__)(node, show_implicit)
        return result

    def inside(self, node: Expr, parent: Expr, show_implicit: bool = False) -> str:
        """An argument of ``parent``."""
        return self.text(node, show_implicit)

    def enclosed(self, text: str) -> str:
        """An expression that its parts may not be read apart from."""
        return f"({text})"

    def list(self, nodes: tuple[Expr, ...]) -> str:
        """Comma-separated texts."""
        return ", ".join(self.text(item, True) for item in nodes)

    def type(self, oid: int, typmod: int = -1) -> str:
        """The type's name. ``bit`` and ``character`` alone would be read as ``bit(1)`` and ``character(1)``."""
        if typmod < 0:
            kind = self.catalog.type(oid)
            if kind.element in WITHOUT_LENGTH and is_true_array(kind):
                return WITHOUT_LENGTH[kind.element] + "[]"
            if oid in WITHOUT_LENGTH:
                return WITHOUT_LENGTH[oid]
        return format_type(self.catalog, oid, typmod)

    # --- leaves and casts -------------------------------------------------------------------------------------------

    def const(self, node: Const, _: bool) -> str:
        if node.value is None:
            return f"NULL::{self.type(node.type, node.typmod)}"
        if node.type == oids.BOOL:
            return "true" if node.value else "false"
        output = self.catalog.type(node.type).output(node.value, self.env)
        if node.type in (oids.INT4, oids.NUMERIC) and _BARE_NUMBER.fullmatch(output):
            if node.type == oids.INT4 or "." in output:
                return output
        if node.type == oids.UNKNOWN:
            return quote_literal(output)
        typmod = node.typmod if node.type not in (oids.BPCHAR,) or node.typmod > 4 else -1
        return f"{quote_literal(output)}::{self.type(node.type, typmod)}"

    def param(self, node: Param, _: bool) -> str:
        return f"${node.number}"

    def cast(self, argument: Expr, type_oid: int, typmod: int) -> str:
        if isinstance(argument, Const) and argument.type == type_oid and argument.typmod < 0:
            # A constant of that type goes without its own.
            text = self.bare(argument)
        else:
            text = self.cast_argument(argument, type_oid)
        if self.is_read_again and isinstance(argument, ArrayExpr):
            # The elements of ARRAY[…] take the type that it is cast to.
            text += f"::{self.type(argument.type)}"
        return f"{text}::{self.type(type_oid, typmod)}"

    def cast_argument(self, argument: Expr, type_oid: int) -> str:
        """What stands before ``::``."""
        return f"({self.text(argument)})"

    def bare(self, node: Const) -> str:
        """A constant without its type."""
        if node.value is None:
            return "NULL"
        text = self.const(node, False)
        if node.type == oids.BOOL or "::" not in text:
            return text
        return quote_literal(self.catalog.type(node.type).output(node.value, self.env))

    def relabel(self, node: Relabel, show_implicit: bool) -> str:
        if collation_of(node.type):
            return self.text(node.argument, show_implicit)
        if node.implicit and not show_implicit:
            return self.text(node.argument, show_implicit)
        return self.cast(node.argument, node.type, node.typmod)

    def collate(self, node: Collate, show_implicit: bool) -> str:
        found = self.catalog.collation(node.collation)
        name = "???" if found is None else quote_identifier(found.name)
        if found is not None and self.catalog.find_collation(None, found.name) != found:
            name = f"{quote_identifier(self.catalog.namespace_name(found.namespace))}.{name}"
        return self.enclosed(f"{self.inside(node.argument, node, show_implicit)} COLLATE {name}")

    def via_io(self, node: CoerceViaIO, _: bool) -> str:
        return self.cast(node.argument, node.type, node.typmod)

    def typmod_cast(self, node: CoerceTypmod, show_implicit: bool) -> str:
        if not node.explicit and not show_implicit:
            return self.text(node.argument, show_implicit)
        argument = node.argument
        while isinstance(argument, (Relabel, CoerceViaIO)) and argument.type == node.type:
            argument = argument.argument
        return self.cast(argument, node.type, node.typmod)

    def to_domain(self, node: CoerceToDomain, show_implicit: bool) -> str:
        if node.implicit and not show_implicit:
            return self.text(node.argument, show_implicit)
        return self.cast(node.argument, node.type, node.typmod)

    def domain_value(self, node: DomainValue, _: bool) -> str:
        return "VALUE"

    def array_coerce(self, node: ArrayCoerce, _: bool) -> str:
        return self.cast(node.argument, node.type, node.typmod)

    # --- calls ------------------------------------------------------------------------------------------------------

    def call(self, node: Call, show_implicit: bool) -> str:
        arguments = node.arguments
        if node.operator:
            texts = [self.inside(item, node, True) for item in arguments]
            if self.is_read_again and len(arguments) == 1 and isinstance(arguments[0], Const):
                # A minus before a number is read as part of it.
                texts[0] = self.decorated(arguments[0])
            name = self.operator_name(node.operator)
            return self.enclosed(f"{name} {texts[0]}" if len(texts) == 1 else f"{texts[0]} {name} {texts[1]}")
        if node.display in ("cast", "coercion"):
            if node.display == "coercion" and not show_implicit:
                return self.text(arguments[0], show_implicit)
            return self.cast(arguments[0], node.type, node.typmod)
        function = self.catalog.function(node.function)
        name = self.function_name(function)
        if node.display:
            written = self._own_syntax(node)
            if written:
                return written
        if node.variadic and arguments and isinstance(arguments[-1], ArrayExpr) and function.variadic != oids.ANY:
            spread = arguments[:-1] + arguments[-1].elements
            return f"{name}({self.list(spread)})"
        texts = [self.text(item, True) for item in arguments]
        if node.variadic and texts:
            texts[-1] = "VARIADIC " + texts[-1]
        return f"{name}({', '.join(texts)})"

    def _own_syntax(self, node: Call) -> str:
        """A function that was called by a syntax of its own; empty for others."""
        values = node.arguments
        shown = [self.inside(value, node) for value in values]
        match node.display, len(values):
            case "timezone", 2:
                return f"({shown[1]} AT TIME ZONE {shown[0]})"
            case "overlaps", 4:
                return f"(({shown[0]}, {shown[1]}) OVERLAPS ({shown[2]}, {shown[3]}))"
            case "is_normalized", _:
                form = f" {values[1].value}" if len(values) > 1 and isinstance(values[1], Const) else ""
                return f"({shown[0]} IS{form} NORMALIZED)"
        texts = [self.text(value) for value in values]
        match node.display, len(texts):
            case "extract", 2:
                field = values[0].value if isinstance(values[0], Const) else texts[0]
                return f"EXTRACT({field} FROM {texts[1]})"
            case "xmlexists", 2:
                return f"XMLEXISTS(({texts[0]}) PASSING ({texts[1]}))"
            case "pg_collation_for", 1:
                return f"COLLATION FOR ({texts[0]})"
            case "normalize", _:
                form = f", {values[1].value}" if len(values) > 1 and isinstance(values[1], Const) else ""
                return f"NORMALIZE({texts[0]}{form})"
            case "overlay", 3 | 4:
                length = f" FOR {texts[3]}" if len(texts) > 3 else ""
                return f"OVERLAY({texts[0]} PLACING {texts[1]} FROM {texts[2]}{length})"
            case "position", 2:
                return f"POSITION(({texts[1]}) IN ({texts[0]}))"
            case "substring", 3 if values[2].type == oids.TEXT:
                return f"SUBSTRING({texts[0]} SIMILAR {texts[1]} ESCAPE {texts[2]})"
            case "substring", 2 | 3:
                length = f" FOR {texts[2]}" if len(texts) > 2 else ""
                return f"SUBSTRING({texts[0]} FROM {texts[1]}{length})"
            case ("btrim" | "ltrim" | "rtrim") as name, 1 | 2:
                side = {"b": "BOTH", "l": "LEADING", "r": "TRAILING"}[name[0]]
                return f"TRIM({side} {''.join(each + ' ' for each in texts[1:])}FROM {texts[0]})"
        return ""

    def function_name(self, function: Function) -> str:
        """Its name, with the schema where the bare name would not find it."""
        name = quote_identifier(function.name)
        if function.namespace == NAMESPACE_CATALOG or any(
            item.oid == function.oid for item in self.catalog.functions(None, function.name)
        ):
            return name
        return f"{quote_identifier(self.catalog.namespace_name(function.namespace))}.{name}"

    def operator_name(self, oid: int) -> str:
        """The same for an operator."""
        item = self.catalog.operator(oid)
        if item.namespace == NAMESPACE_CATALOG or any(
            each.oid == oid for each in self.catalog.operators(None, item.name)
        ):
            return item.name
        return f"OPERATOR({quote_identifier(self.catalog.namespace_name(item.namespace))}.{item.name})"

    def aggregate(self, node: AggregateCall, _: bool) -> str:
        name = self.function_name(self.catalog.function(node.function))
        inner = "*" if node.star else ("DISTINCT " if node.distinct else "") + self.list(node.arguments)
        kind = self.catalog.aggregate(node.function)
        if kind is not None and kind.ordered_set:
            inner = f"{self.list(node.direct)}) WITHIN GROUP (ORDER BY {self.sort_keys(node.order_by)}"
        elif node.order_by:
            inner += f" ORDER BY {self.sort_keys(node.order_by)}"
        suffix = "" if node.filter is None else f" FILTER (WHERE {self.text(node.filter)})"
        return f"{name}({inner}){suffix}"

    def grouping(self, node: GroupingCall, _: bool) -> str:
        return f"GROUPING({self.list(node.arguments)})"

    @property
    def is_read_again(self) -> bool:
        """Whether the text is kept, and must be read as what it was written from."""
        return False

    pretty = False
    """whether parentheses stand only where they are needed"""

    def sort_key(self, node: Expr) -> str:
        """An expression to sort or group by: it must not look like a number, a name or a kind of grouping set."""
        if isinstance(node, Const):
            return self.decorated(node)
        text = self.text(node, True)
        calls = (AggregateCall, WindowCall)
        if isinstance(node, Var) or not (
            self.pretty or isinstance(node, calls) or (isinstance(node, Call) and not node.operator)
        ):
            return text
        return f"({text})"

    def sort_keys(self, keys: Iterable[SortKey[Expr]]) -> str:
        """What ORDER BY says."""
        return ", ".join(self.sort_key(key.expression) + direction(key) for key in keys)

    def decorated(self, node: Const) -> str:
        """A constant with its type."""
        text = self.const(node, True)
        return text if "::" in text else f"{text}::{self.type(node.type, node.typmod)}"

    def array_op(self, node: ArrayOp, _: bool) -> str:
        quantifier = "ANY" if node.use_or else "ALL"
        operator = self.operator_name(node.operator)
        left = self.inside(node.left, node, True)
        return self.enclosed(f"{left} {operator} {quantifier} ({self.text(node.right, True)})")

    # --- boolean ----------------------------------------------------------------------------------------------------

    def conjunction(self, node: And, _: bool) -> str:
        return self.enclosed(" AND ".join(self.inside(item, node) for item in node.arguments))

    def disjunction(self, node: Or, _: bool) -> str:
        return self.enclosed(" OR ".join(self.inside(item, node) for item in node.arguments))

    def negation(self, node: Not, _: bool) -> str:
        return self.enclosed(f"NOT {self.inside(node.argument, node)}")

    def null_test(self, node: NullTest, _: bool) -> str:
        return self.enclosed(f"{self.inside(node.argument, node, True)} IS {'NOT ' if node.negated else ''}NULL")

    def boolean_test(self, node: BooleanTest, _: bool) -> str:
        target = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[node.target]
        return self.enclosed(f"{self.inside(node.argument, node)} IS {'NOT ' if node.negated else ''}{target}")

    def distinct_test(self, node: DistinctTest, _: bool) -> str:
        left, right = self.inside(node.left, node, True), self.inside(node.right, node, True)
        return self.enclosed(f"{left} IS {'NOT ' if node.negated else ''}DISTINCT FROM {right}")

    def null_if(self, node: NullIf, _: bool) -> str:
        return f"NULLIF({self.text(node.left, True)}, {self.text(node.right, True)})"

    # --- other constructs -------------------------------------------------------------------------------------------

    def case(self, node: Case, _: bool) -> str:
        layout = self.layout
        text = layout.keyword("CASE", 0, ITEM)
        if node.operand is not None:
            text += f" {self.text(node.operand, True)}"
        for condition, result in node.branches:
            shown = condition
            if node.operand is not None and isinstance(condition, Call) and len(condition.arguments) == 2:
                shown = condition.arguments[1]
            text += layout.space() + layout.keyword("WHEN ")
            text += f"{self.text(shown)} THEN {self.text(result, True)}"
        if node.default is not None:
            text += layout.space() + layout.keyword("ELSE ") + self.text(node.default, True)
        return text + layout.space() + layout.keyword("END", -ITEM)

    def coalesce(self, node: Coalesce, _: bool) -> str:
        return f"COALESCE({self.list(node.arguments)})"

    def min_max(self, node: MinMax, _: bool) -> str:
        return f"{'GREATEST' if node.greatest else 'LEAST'}({self.list(node.arguments)})"

    def array(self, node: ArrayExpr, _: bool) -> str:
        text = f"ARRAY[{self.list(node.elements)}]"
        return text if node.elements else f"{text}::{self.type(node.type)}"

    def subscript(self, node: Subscript, _: bool) -> str:
        container = self.text(node.container)
        if not isinstance(node.container, Var):
            container = f"({container})"

        def bound(item: Expr | None) -> str:
            return "" if item is None else self.text(item)

        if node.slices is not None:
            return container + "".join(f"[{bound(low)}:{bound(high)}]" for low, high in node.slices)
        return container + "".join(f"[{bound(item)}]" for item in node.indexes)

    def row(self, node: RowExpr, _: bool) -> str:
        text = f"ROW({self.list(node.arguments)})"
        return text if node.type == oids.RECORD else f"{text}::{self.type(node.type)}"

    def row_compare(self, node: RowCompare, _: bool) -> str:
        return f"(ROW({self.list(node.left)}) {node.kind} ROW({self.list(node.right)}))"

    def field(self, node: FieldSelect, _: bool) -> str:
        name, argument = self.field_name(node), node.argument
        text = self.text(argument)
        if not isinstance(argument, (Subscript, FieldSelect)):
            text = f"({text})"
        return f"{text}.{quote_identifier(name)}"

    def field_name(self, node: FieldSelect) -> str:
        """The name of the field that is selected."""
        argument = node.argument
        if isinstance(argument, Call):
            function = self.catalog.function(argument.function)
            if function.out_columns:
                return function.out_columns[node.index][0]
        fields = self.catalog.type(argument.type).root.fields
        return fields[node.index].name if fields else f"f{node.index + 1}"

    def field_store(self, node: FieldStore, _: bool) -> str:
        fields = self.catalog.type(node.type).root.fields
        parts = [f"{self.text(value)}" for value in node.values]
        return f"ROW({', '.join(parts)})" if fields else "ROW()"

    def sql_value(self, node: SqlValue, _: bool) -> str:
        return node.name.upper() + (f"({node.typmod})" if node.typmod >= 0 else "")

    def default(self, node: SetDefault, _: bool) -> str:
        return "DEFAULT"

    def element(self, node: ElementValue, _: bool) -> str:
        return "CASE_TEST_EXPR"

    def xml(self, node: XmlExpr, _: bool) -> str:
        option = "DOCUMENT" if node.document else "CONTENT"
        values = [self.text(item, True) for item in node.arguments]
        if node.kind == "document":
            bare = isinstance(node.arguments[0], (Var, Param))
            return f"{values[0] if bare else f'({values[0]})'} IS DOCUMENT"
        if node.kind == "xmlparse":
            spaces = "PRESERVE" if isinstance(kept := node.arguments[1], Const) and kept.value else "STRIP"
            return f"XMLPARSE({option} {values[0]} {spaces} WHITESPACE)"
        if node.kind == "xmlserialize":
            return f"XMLSERIALIZE({option} {values[0]} AS {self.type(node.type)})"
        if node.kind == "xmlroot":
            version = node.arguments[1]
            shown = "NO VALUE" if isinstance(version, Const) and version.value is None else values[1]
            said = node.arguments[2].value if isinstance(node.arguments[2], Const) else None
            return f"XMLROOT({values[0]}, VERSION {shown}{_STANDALONE.get(said, '')})"
        named = [
            f"{self._named_value(item)} AS {quote_identifier(identifier_of(name))}"
            for item, name in zip(node.named, node.names, strict=True)
        ]
        parts = [f"NAME {quote_identifier(identifier_of(node.name))}"] if node.kind in ("xmlelement", "xmlpi") else []
        if named:
            parts.append(f"XMLATTRIBUTES({', '.join(named)})" if node.kind == "xmlelement" else ", ".join(named))
        return f"{node.kind.upper()}({', '.join([*parts, *values])})"

    def _named_value(self, node: Expr) -> str:
        """A string literal there stays of unknown type."""
        is_literal = isinstance(node, Const) and node.type == oids.TEXT
        return self.bare(node) if isinstance(node, Const) and is_literal else self.text(node, True)

    def sub_column(self, node: SubColumn, _: bool) -> str:
        return f"${node.index}"


_HANDLERS: dict[type, Callable[[Deparser, Any, bool], str]] = {
    Const: Deparser.const,
    Param: Deparser.param,
    Relabel: Deparser.relabel,
    Collate: Deparser.collate,
    CoerceViaIO: Deparser.via_io,
    CoerceToDomain: Deparser.to_domain,
    DomainValue: Deparser.domain_value,
    CoerceTypmod: Deparser.typmod_cast,
    ArrayCoerce: Deparser.array_coerce,
    Call: Deparser.call,
    AggregateCall: Deparser.aggregate,
    GroupingCall: Deparser.grouping,
    ArrayOp: Deparser.array_op,
    And: Deparser.conjunction,
    Or: Deparser.disjunction,
    Not: Deparser.negation,
    NullTest: Deparser.null_test,
    BooleanTest: Deparser.boolean_test,
    DistinctTest: Deparser.distinct_test,
    NullIf: Deparser.null_if,
    Case: Deparser.case,
    Coalesce: Deparser.coalesce,
    MinMax: Deparser.min_max,
    ArrayExpr: Deparser.array,
    Subscript: Deparser.subscript,
    RowExpr: Deparser.row,
    RowCompare: Deparser.row_compare,
    FieldSelect: Deparser.field,
    FieldStore: Deparser.field_store,
    SqlValue: Deparser.sql_value,
    SetDefault: Deparser.default,
    ElementValue: Deparser.element,
    SubColumn: Deparser.sub_column,
    XmlExpr: Deparser.xml,
}


def stored_namer(relation: RelationDesc | None) -> Namer:
    """Names of the columns of an expression over one relation (``Var(rte=0)``)."""

    def name(leaf: Expr) -> str:
        if isinstance(leaf, Var) and relation is not None:
            if leaf.attno > 0:
                return quote_identifier(relation.columns[leaf.attno - 1].name)
            return SYSTEM_NAMES[leaf.attno] if leaf.attno else quote_identifier(relation.name) + ".*"
        raise InvariantViolation(f"{type(leaf).__name__} in a stored expression")

    return name


def deparse_stored(
    node: Expr,
    catalog: CatalogView,
    relation: RelationDesc | None,
    env: TypeEnv = DEFAULT_ENV,
    lines: bool = False,
) -> str:
    """The text of an expression over one relation's columns, as pg_get_expr gives it; ``lines``: CASE on several. For
    keeping it, ``catalog`` is a view whose search path is pg_catalog alone, so that all other names are written
    whole."""
    return finished(Deparser(catalog, stored_namer(relation), env, Layout(lines)).text(node))

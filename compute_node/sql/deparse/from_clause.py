"""FROM: tables, sub-selects, functions, joins, VALUES, TABLESAMPLE as text."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.sql.deparse.layout import ITEM, JOINED, STANDARD
from compute_node.sql.deparse.names import NamedDeparser, alias_of, relation_of
from compute_node.sql.expressions import Call, Const, Expr, RowsFrom, Var
from compute_node.sql.query import FromItem, JoinItem, Query, RangeEntry
from compute_node.sql.rewrite import deep_walk
from compute_node.types.xml.table import NOT_NULL, ORDINALITY, XMLTABLE

_UNNEST: Final = 2331
_JOINS = {"inner": " JOIN ", "left": " LEFT JOIN ", "full": " FULL JOIN ", "right": " RIGHT JOIN "}


class FromDeparser(NamedDeparser):
    """Writes the FROM clause of the innermost level."""

    @abstractmethod
    def query(self, query: Query, names: Sequence[str] = (), *, visible: bool = True) -> str:
        """A query inside this one."""

    def from_clause(self, query: Query, keyword: str = " FROM ", before: str = "") -> str:
        """The clause; nothing without items. ``before``: the text of the query up to there."""
        level = self.levels[0]
        text, written = "", level.written
        level.show({})
        for item in query.from_items:
            if not text:
                text = self.layout.clause(keyword, 2) + self.from_item(item)
            else:
                shown = self.from_item(item)
                text += ", "
                text += self.layout.wrapped(before + text, shown, ITEM) + shown
            level.show(level.written | level.join_names((item,)))
        level.show(written)
        return text

    def from_item(self, item: FromItem | JoinItem) -> str:
        """One item."""
        if isinstance(item, JoinItem):
            return self._join(item)
        level = self.levels[0]
        entry = level.query.range_table[item.rte]
        lateral = "LATERAL " if self.is_lateral(entry) else ""
        text = lateral + self._source(entry)
        definitions = _definitions(entry)
        if self._alias_needed(entry, item.rte):
            text += f" {quote_identifier(level.names[item.rte])}"
        if definitions and not entry.with_ordinality and not _is_xmltable(entry):
            # As in PostgreSQL, a name that another column of the join has is another one here too.
            shown = zip(definitions, level.columns[item.rte], strict=True)
            text += self._definition_list([(kind, typmod, name) for (kind, typmod, _), name in shown])
        elif level.listed[item.rte]:
            text += _list(level.columns[item.rte])
        return text + self._sample(entry)

    def is_lateral(self, entry: RangeEntry) -> bool:
        """Whether it stands after LATERAL."""
        return entry.lateral and (entry.kind == "subquery" or _is_correlated(entry))

    def _alias_needed(self, entry: RangeEntry, rte: int) -> bool:
        level = self.levels[0]
        relation = relation_of(self.catalog, entry)
        if alias_of(entry) is not None or level.listed[rte]:
            return True
        if relation is not None:
            return level.names[rte] != relation.name
        if _is_xmltable(entry):
            return level.names[rte] != "xmltable"
        return entry.kind != "cte" or level.names[rte] != entry.cte

    def _source(self, entry: RangeEntry) -> str:
        relation = relation_of(self.catalog, entry)
        if relation is not None:
            found = self.catalog.find_relation(None, relation.name)
            hidden = relation.name in self.levels[0].ctes
            name = quote_identifier(relation.name)
            only = "" if entry.descends else "ONLY "
            if found is not None and found.oid == relation.oid and not hidden:
                return only + name
            return f"{only}{quote_identifier(relation.schema)}.{name}"
        if entry.kind == "cte":
            return quote_identifier(entry.cte or "")
        if entry.kind == "values":
            return f"({self.values(entry)})"
        if entry.query is not None:
            return f"({self.query(entry.query)})"
        if _is_xmltable(entry) and isinstance(entry.function, Call):
            return self._xmltable(entry.function)
        return self._functions(entry)

    def values(self, entry: RangeEntry) -> str:
        """VALUES."""
        rows = ["(" + ",".join(self.text(value) for value in row) + ")" for row in entry.values]
        return "VALUES " + ", ".join(rows)

    # --- functions --------------------------------------------------------------------------------------------------

    def _functions(self, entry: RangeEntry) -> str:
        function = entry.function
        if function is None:
            return ""
        calls = function.calls if isinstance(function, RowsFrom) else (function,)
        ordinality = " WITH ORDINALITY" if entry.with_ordinality else ""
        if len(calls) == 1 and not (_definitions(entry) and entry.with_ordinality):
            return self.source_call(calls[0]) + ordinality
        if all(isinstance(call, Call) and call.function == _UNNEST and not call.columns for call in calls):
            arguments = [self.text(each, True) for call in calls if isinstance(call, Call) for each in call.arguments]
            return f"UNNEST({', '.join(arguments)}){ordinality}"
        parts = [
            self.source_call(call) + (" AS " + self._definition_list(found) if (found := _columns_of(call)) else "")
            for call in calls
        ]
        return f"ROWS FROM({', '.join(parts)}){ordinality}"

    def source_call(self, call: Expr) -> str:
        """A function in FROM; what is no call there stands in CAST."""
        text = self.text(call, True)
        if isinstance(call, Call) and not call.operator and call.display not in ("cast", "coercion"):
            return text
        return f"CAST({text} AS {self.type(call.type, call.typmod)})"

    def _definition_list(self, columns: Sequence[tuple[int, int, str]]) -> str:
        parts = [f"{quote_identifier(name)} {self.type(kind, typmod)}" for kind, typmod, name in columns]
        return "(" + ", ".join(parts) + ")"

    def _xmltable(self, call: Call) -> str:
        """XMLTABLE, whose arguments are the document, the row, the columns' kinds, the namespaces' prefixes and URIs,
        the columns' paths and defaults."""
        document, row, kinds, prefixes, *rest = call.arguments
        names = list(prefixes.value or ()) if isinstance(prefixes, Const) else []
        uris, own = rest[: len(names)], rest[len(names) :]
        text = "XMLTABLE("
        if names:
            spaces = [
                f"DEFAULT {self.text(uri)}" if name is None else f"{self.text(uri)} AS {quote_identifier(name)}"
                for uri, name in zip(uris, names, strict=True)
            ]
            text += f"XMLNAMESPACES ({', '.join(spaces)}), "
        given = str(kinds.value) if isinstance(kinds, Const) else ""
        columns = [
            self._xml_column(kind, column, own[2 * place], own[2 * place + 1])
            for place, (kind, column) in enumerate(zip(given, call.columns, strict=True))
        ]
        return f"{text}({self.text(row)}) PASSING ({self.text(document)}) COLUMNS {', '.join(columns)})"

    def _xml_column(self, kind: str, column: tuple[int, int, str], path: Expr, default: Expr) -> str:
        type_oid, typmod, name = column
        if kind == ORDINALITY:
            return f"{quote_identifier(name)} FOR ORDINALITY"
        text = f"{quote_identifier(name)} {self.type(type_oid, typmod)}"
        if not (isinstance(default, Const) and default.value is None):
            text += f" DEFAULT ({self.text(default)})"
        if not (isinstance(path, Const) and path.value == name):
            text += f" PATH ({self.text(path)})"
        return text + (" NOT NULL" if kind == NOT_NULL else "")

    def _sample(self, entry: RangeEntry) -> str:
        sample = entry.sample
        if sample is None:
            return ""
        seed = "" if sample.seed is None else f" REPEATABLE ({self.text(sample.seed)})"
        return f" TABLESAMPLE {sample.method} ({self.text(sample.percent)}){seed}"

    # --- joins ------------------------------------------------------------------------------------------------------

    def _join(self, item: JoinItem) -> str:
        level = self.levels[0]
        text = self._joined(item)
        if level.query.range_table[item.rte].written is None:
            return text if self.pretty else f"({text})"
        columns = _list(level.columns[item.rte]) if level.listed[item.rte] else ""
        return f"({text}) {quote_identifier(level.names[item.rte])}{columns}"

    def _joined(self, item: JoinItem) -> str:
        # What is within sees the names of what is left of it, and not yet those of the join.
        level = self.levels[0]
        around = level.written
        text = self.from_item(item.left)
        level.show(around | level.join_names((item.left,)))
        text += self._right_side(item)
        level.show(around)
        return text

    def _right_side(self, item: JoinItem) -> str:
        level, keyword = self.levels[0], _JOINS[item.kind]
        if item.kind == "inner" and item.condition is None:
            keyword = " CROSS JOIN "
        text = self.layout.keyword(keyword, -STANDARD, STANDARD, JOINED)
        right = item.right
        own = isinstance(right, JoinItem) and level.query.range_table[right.rte].written is None
        written = self.from_item(right)
        level.show(level.written | level.join_names((right,)))
        text += f"({written})" if self.pretty and own else written
        if item.using:
            text += f" USING ({', '.join(quote_identifier(name) for name, *_ in item.using)})"
            return text + (f" AS {quote_identifier(item.using_alias)}" if item.using_alias else "")
        if item.condition is not None:
            condition = self.text(item.condition)
            return text + f" ON {condition}" if self.pretty else text + f" ON ({condition})"
        return text if item.kind == "inner" else text + " ON TRUE"


def _list(names: Sequence[str]) -> str:
    return "(" + ", ".join(quote_identifier(name) for name in names if name) + ")"


def _is_xmltable(entry: RangeEntry) -> bool:
    return isinstance(entry.function, Call) and entry.function.function == XMLTABLE


def _columns_of(call: Expr) -> tuple[tuple[int, int, str], ...]:
    return call.columns if isinstance(call, Call) else ()


def _definitions(entry: RangeEntry) -> tuple[tuple[int, int, str], ...]:
    """The column definition list of a single function."""
    return () if entry.function is None else _columns_of(entry.function)


def _is_correlated(entry: RangeEntry) -> bool:
    """Whether a function sees the items to its left: then it is LATERAL."""
    return entry.function is not None and any(
        isinstance(node, Var) and node.levels_up == depth for node, depth in deep_walk(entry.function)
    )

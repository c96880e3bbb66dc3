"""pg_get_indexdef, pg_get_constraintdef, pg_get_viewdef and the like: catalog rows → SQL text; object descriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aurora.datum import Datum
from aurora.errors import UndefinedColumn, UndefinedTable
from compute_node.catalog.functions import routines
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.catalog.functions.names import class_name, regclass_in
from compute_node.catalog.functions.partitions import shown_bound
from compute_node.catalog.routines import split_texts
from compute_node.catalog.rows import Record
from compute_node.relations.access_methods import METHODS
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.relations.partitions import PACKED
from compute_node.relations.schema import CATALOGS
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.collations import collation_of_expression
from compute_node.sql.analyze.rules import stored_rule
from compute_node.sql.analyze.stored import analyze_domain_check, analyze_stored
from compute_node.sql.deparse.changes import deparse_rule
from compute_node.sql.deparse.expressions import deparse_stored, quote_literal
from compute_node.sql.deparse.pretty import deparse_pretty
from compute_node.sql.deparse.queries import deparse_condition, deparse_query
from compute_node.sql.expressions import Call as Expressed
from compute_node.sql.expressions import Expr, SubLink, walk
from compute_node.sql.parse import parse

_CLASS_RELATION = CATALOGS["pg_class"].desc.oid


def _pretty(call: Call, desc: RelationDesc | None, text: str) -> str:
    """A stored expression with only the parentheses that it needs."""
    found = analyze_stored(call.view, desc, text, "SHOWN", session=call.session)
    if desc is not None and _has_sub_select(found):
        return deparse_condition(found, call.view, desc, call.session.env, True)
    return deparse_pretty(found, call.view, desc, call.session.env, True)


def _has_sub_select(expr: Expr) -> bool:
    return any(isinstance(node, SubLink) for node in walk(expr))


def get_expr(call: Call, text: str, oid: int, pretty: bool = False) -> str:
    """pg_get_expr; an index's expressions are given one after the other."""
    desc = call.view.relation(oid)
    if text.startswith(PACKED) and desc is not None:
        return shown_bound(call, desc) or ""
    return ", ".join(_expression(call, desc, each, pretty) for each in split_texts(text))


def _expression(call: Call, desc: RelationDesc | None, text: str, pretty: bool) -> str:
    """A stored expression, without the parentheses that CREATE INDEX puts around what is no function call."""
    inner = text[1:-1] if text.startswith("((") and _is_wrapped(text) else text
    return _pretty(call, desc, inner) if pretty else _shown(call, desc, inner, True)


def _is_wrapped(text: str) -> bool:
    """Whether the first parenthesis closes at the end, and the second just before it."""
    depth, quote, closed = 0, "", []
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth < 2 and character == ")":
                closed.append((depth, at))
    return closed == [(1, len(text) - 2), (0, len(text) - 1)]


def _shown(call: Call, desc: RelationDesc | None, text: str, lines: bool = False) -> str:
    """A stored expression, whose names are whole and may be OIDs, as the session's search path and settings have one
    write it."""
    if "'" not in text and "." not in text and "SELECT" not in text and not (lines and "CASE" in text):
        return text
    expr = analyze_stored(call.view, desc, text, "SHOWN", session=call.session)
    if desc is not None and _has_sub_select(expr):
        return deparse_condition(expr, call.view, desc, call.session.env, False)
    return deparse_stored(expr, call.view, desc, call.session.env, lines)


def _index(call: Call, oid: int) -> tuple[RelationDesc, IndexDesc] | None:
    row = call.reader.one("pg_index", indexrelid=oid)
    table = None if row is None else call.view.relation(row.indrelid)
    if table is None:
        return None
    return next(((table, index) for index in table.indexes if index.oid == oid), None)


def _column_texts(
    call: Call, table: RelationDesc, index: IndexDesc, *, alone: bool = False, pretty: bool = False
) -> list[str]:
    """Key columns as CREATE INDEX writes them; ``alone``: without collation, class and order, as pg_get_indexdef's
    second form gives them."""
    expressions = iter(index.expressions)
    texts = []
    for place, attno in enumerate(index.columns):
        text = quote_identifier(table.columns[attno - 1].name) if attno else next(expressions)
        if not attno:
            inner = text[1:-1] if text.startswith("(") else text
            shown = _pretty(call, table, inner) if pretty else _shown(call, table, inner)
            text = f"({shown})" if text.startswith("(") else shown
        if not alone:
            text += _collation_text(call, table, index, place) + _class_text(call, table, index, place)
            descending, first = index.descending[place], index.nulls_first[place]
            if METHODS[index.method].ordered:
                text += " DESC" if descending else ""
                text += " NULLS FIRST" if first and not descending else ""
                text += " NULLS LAST" if descending and not first else ""
        texts.append(text)
    return texts


def _column_type(call: Call, table: RelationDesc, index: IndexDesc, place: int) -> int:
    """The type of an index column's values in the table."""
    if index.columns[place]:
        return table.columns[index.columns[place] - 1].type
    return _index_expression(call, table, index, place).type


def _index_expression(call: Call, table: RelationDesc, index: IndexDesc, place: int) -> Expr:
    text = index.expressions[index.columns[:place].count(0)]
    return analyze_stored(call.view, table, text, "INDEX", session=call.session)


def _collation_text(call: Call, table: RelationDesc, index: IndexDesc, place: int) -> str:
    """COLLATE, where the index has another than its column or expression."""
    attno, collation = index.columns[place], index.collations[place]
    if attno:
        usual = table.columns[attno - 1].collation
    else:
        usual = collation_of_expression(call.view, table, _index_expression(call, table, index, place))
    found = call.view.collation(collation) if collation and collation != usual else None
    return "" if found is None else f" COLLATE {quote_identifier(found.name)}"


def _class_text(call: Call, table: RelationDesc, index: IndexDesc, place: int) -> str:
    """The operator class, where it is not the type's default."""
    method = METHODS[index.method].oid
    default = call.view.default_operator_class(_column_type(call, table, index, place), method)
    given = index.class_options[place] if index.class_options else ()
    options = (each.partition("=") for each in given)
    shown = f" ({', '.join(f'{name}={quote_literal(text)}' for name, _, text in options)})" if given else ""
    if default is not None and default.oid == index.operator_classes[place] and not given:
        return ""
    found = call.view.operator_class(index.operator_classes[place])
    return "" if found is None else f" {class_name(call.view, found)}{shown}"


def get_indexdef(call: Call, oid: int, column: int = 0, pretty: bool = False) -> str | None:
    """pg_get_indexdef; NULL for an unknown OID."""
    found = _index(call, oid)
    if found is None:
        return None
    table, index = found
    if column:
        texts = _column_texts(call, table, index, alone=True, pretty=pretty)
        texts += [quote_identifier(table.columns[attno - 1].name) for attno in index.included]
        return texts[column - 1] if column <= len(texts) else ""
    desc = call.view.relation(oid)
    name = call.relation_name(table) if pretty else f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"
    only = "ONLY " if table.is_partitioned else ""
    text = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {quote_identifier(index.name)} ON {only}{name}"
    text += f" USING {index.method} ({', '.join(_column_texts(call, table, index, pretty=pretty))})"
    if index.included:
        text += f" INCLUDE ({', '.join(quote_identifier(table.columns[attno - 1].name) for attno in index.included)})"
    if index.nulls_not_distinct:
        text += " NULLS NOT DISTINCT"
    if desc is not None and desc.options:
        pairs = (option.partition("=") for option in desc.options)
        text += " WITH (" + ", ".join(f"{key}={_option_value(value)}" for key, _, value in pairs) + ")"
    if index.predicate is not None:
        predicate = index.predicate
        text += f" WHERE {_pretty(call, table, predicate) if pretty else _shown(call, table, predicate)}"
    return text


def _option_value(value: str) -> str:
    """The value as it is where it could be a name, else as a literal."""
    return value if quote_identifier(value) == value else quote_literal(value)


def get_constraintdef(call: Call, oid: int, pretty: bool = False) -> str | None:
    """pg_get_constraintdef; NULL for an unknown OID."""
    row = call.reader.one("pg_constraint", oid=oid)
    if row is not None and row.contypid:
        return f"CHECK ({_domain_check(call, row, pretty)})" + ("" if row.convalidated else " NOT VALID")
    table = None if row is None else call.view.relation(row.conrelid)
    if row is None or table is None:
        return None
    if row.contype == "c":
        text = f"CHECK ({_expression(call, table, row.conbin, pretty)})"
        return text + (" NO INHERIT" if row.connoinherit else "") + ("" if row.convalidated else " NOT VALID")
    if row.contype == "f":
        return _foreign_key_text(call, table, row)
    if row.contype == "x":
        return _exclusion_text(call, table, row)
    names = ", ".join(quote_identifier(table.columns[attno - 1].name) for attno in row.conkey or ())
    text = "PRIMARY KEY" if row.contype == "p" else "UNIQUE"
    index = next((each for each in table.indexes if each.oid == row.conindid), None)
    if index is not None and index.nulls_not_distinct:
        text += " NULLS NOT DISTINCT"
    text += f" ({names})"
    if index is not None and index.included:
        text += f" INCLUDE ({', '.join(quote_identifier(table.columns[attno - 1].name) for attno in index.included)})"
    return text + (" DEFERRABLE" if row.condeferrable else "") + (" INITIALLY DEFERRED" if row.condeferred else "")


def _exclusion_text(call: Call, table: RelationDesc, row: Record) -> str | None:
    index = next((each for each in table.indexes if each.oid == row.conindid), None)
    if index is None:
        return None
    texts = _column_texts(call, table, index)
    operators = [call.reader.one("pg_operator", oid=each.operator) for each in index.exclusion]
    parts = [
        f"{text} WITH {'???' if found is None else found.oprname}" for text, found in zip(texts, operators, strict=True)
    ]
    text = f"EXCLUDE USING {quote_identifier(index.method)} ({', '.join(parts)})"
    if index.included:
        text += f" INCLUDE ({', '.join(quote_identifier(table.columns[attno - 1].name) for attno in index.included)})"
    if index.predicate is not None:
        text += f" WHERE ({_shown(call, table, index.predicate)})"
    return text + (" DEFERRABLE" if row.condeferrable else "") + (" INITIALLY DEFERRED" if row.condeferred else "")


def _domain_check(call: Call, row: Record, pretty: bool) -> str:
    """A domain's constraint, as the session's search path lets one write it."""
    domain = call.view.type(row.contypid)
    found = analyze_domain_check(call.view, 0 if domain.base is None else domain.base.oid, row.conbin)
    write = deparse_pretty if pretty else deparse_stored
    return write(found, call.view, None, call.session.env, True)


_ACTIONS = {"r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


def _foreign_key_text(call: Call, table: RelationDesc, row: Record) -> str | None:
    referenced = call.view.relation(row.confrelid)
    if referenced is None:
        return None

    def names(desc: RelationDesc, attnos: list[int]) -> str:
        return ", ".join(quote_identifier(desc.columns[attno - 1].name) for attno in attnos)

    text = f"FOREIGN KEY ({names(table, row.conkey)}) REFERENCES {call.relation_name(referenced)}"
    text += f"({names(referenced, row.confkey)})" + (" MATCH FULL" if row.confmatchtype == "f" else "")
    if row.confupdtype in _ACTIONS:
        text += f" ON UPDATE {_ACTIONS[row.confupdtype]}"
    if row.confdeltype in _ACTIONS:
        text += f" ON DELETE {_ACTIONS[row.confdeltype]}"
    if row.confdelsetcols:
        text += f" ({names(table, row.confdelsetcols)})"
    text += (" DEFERRABLE" if row.condeferrable else "") + (" INITIALLY DEFERRED" if row.condeferred else "")
    return text + ("" if row.convalidated else " NOT VALID")


def get_viewdef(call: Call, view: int | str, pretty: bool | int = False) -> str | None:
    """pg_get_viewdef; ``pretty``: also as a number, the length of its lines. NULL for what is no view."""
    oid = regclass_in(call, view) if isinstance(view, str) else view
    desc = call.view.relation(oid)
    if desc is None or desc.view_sql is None:
        return None
    wrap = pretty if not isinstance(pretty, bool) else 0
    return f"{view_text(call, desc, pretty is not False, wrap)};"


def view_text(call: Call, desc: RelationDesc, pretty: bool, wrap: int = 0) -> str:
    """A view's query, as the session's search path lets one write it."""
    sql = desc.view_sql or ""
    stored = call.view.of_stored_text()
    query = analyze(parse(sql)[0].node, stored, [], sql, session=call.session, allow_params=False)
    names = [column.name for column in desc.columns]
    return deparse_query(query, call.view, call.session.env, names=names, pretty=pretty, wrap=wrap)


def get_ruledef(call: Call, oid: int, pretty: bool = False) -> str | None:
    """pg_get_ruledef: the statement that makes a rule."""
    row = call.reader.one("pg_rewrite", oid=oid)
    desc = None if row is None else call.view.relation(row.ev_class)
    if row is None or desc is None:
        return None
    name = call.relation_name(desc) if pretty else f"{quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"
    if row.ev_type != "1":
        rule = next(each for each in desc.rules if each.name == row.rulename)
        found = stored_rule(call.view, desc, rule, call.session)
        return deparse_rule(
            rule, desc, name, found.around, found.qualification, found.actions, call.view, call.session.env,
            pretty=pretty,
        )  # fmt: skip
    text = view_text(call, desc, pretty)
    return f'CREATE RULE "{row.rulename}" AS\n    ON SELECT TO {name} DO INSTEAD {text};'


_STATISTICS_KINDS = {"d": "ndistinct", "f": "dependencies", "m": "mcv"}


def statistics_columns(call: Call, oid: int) -> str | None:
    """pg_get_statisticsobjdef_columns: columns and expressions."""
    row = call.reader.one("pg_statistic_ext", oid=oid)
    desc = None if row is None else call.view.relation(row.stxrelid)
    if row is None or desc is None:
        return None
    names = [quote_identifier(desc.columns[attno - 1].name) for attno in row.stxkeys]
    return ", ".join([*names, *(_statistics_text(call, desc, text) for text in split_texts(row.stxexprs))])


def _statistics_text(call: Call, desc: RelationDesc, text: str) -> str:
    """An expression: a function's call alone needs no parentheses."""
    node = analyze_stored(call.view, desc, text, "STATISTICS", session=call.session)
    shown = deparse_pretty(node, call.view, desc, call.session.env)
    is_call = isinstance(node, Expressed) and not node.operator and node.display not in ("cast", "coercion")
    return shown if is_call else f"({shown})"


def statistics_definition(call: Call, oid: int) -> str | None:
    """pg_get_statisticsobjdef."""
    row = call.reader.one("pg_statistic_ext", oid=oid)
    desc = None if row is None else call.view.relation(row.stxrelid)
    if row is None or desc is None:
        return None
    schema = call.view.namespace_name(row.stxnamespace)
    kinds = [name for letter, name in _STATISTICS_KINDS.items() if letter in row.stxkind]
    shown = f" ({', '.join(kinds)})" if 0 < len(kinds) < len(_STATISTICS_KINDS) else ""
    name = f"{quote_identifier(schema)}.{quote_identifier(row.stxname)}"
    return f"CREATE STATISTICS {name}{shown} ON {statistics_columns(call, oid)} FROM {call.relation_name(desc)}"


def statistics_expressions(call: Call, oid: int) -> list[str] | None:
    """pg_get_statisticsobjdef_expressions."""
    row = call.reader.one("pg_statistic_ext", oid=oid)
    desc = None if row is None else call.view.relation(row.stxrelid)
    if row is None or desc is None or row.stxexprs is None:
        return None
    return [_shown(call, desc, text, True) for text in split_texts(row.stxexprs)]


def obj_description(call: Call, oid: int, catalog: str | None = None) -> str | None:
    """obj_description of an object, in a named catalog or any."""
    wanted = None
    if catalog is not None:
        if catalog not in CATALOGS:
            return None
        wanted = CATALOGS[catalog].desc.oid
        found = call.reader.find("pg_description", objoid=oid, classoid=wanted, objsubid=0)
    else:
        found = [row for row in call.reader.find("pg_description", objoid=oid) if row.objsubid == 0]
    return found[0].description if found else None


def col_description(call: Call, oid: int, number: int) -> str | None:
    """col_description."""
    found = call.reader.find("pg_description", objoid=oid, classoid=_CLASS_RELATION, objsubid=number)
    return found[0].description if found else None


def shobj_description(call: Call, oid: int, catalog: str) -> str | None:
    """shobj_description."""
    if catalog not in CATALOGS:
        return None
    found = call.reader.find("pg_shdescription", objoid=oid, classoid=CATALOGS[catalog].desc.oid)
    return found[0].description if found else None


def serial_sequence(call: Call, table: str, column: str) -> str | None:
    """pg_get_serial_sequence: the sequence that a column owns."""
    desc = call.view.relation(regclass_in(call, table))
    if desc is None:
        raise UndefinedTable(f'relation "{table}" does not exist')
    found = desc.column(column)
    if found is None:
        raise UndefinedColumn(f'column "{column}" of relation "{desc.name}" does not exist')
    for row in call.reader.find("pg_depend", refclassid=_CLASS_RELATION, refobjid=desc.oid, refobjsubid=found.attno):
        sequence = call.view.relation(row.objid) if row.classid == _CLASS_RELATION else None
        if sequence is not None and sequence.kind == "S":
            return f"{quote_identifier(sequence.schema)}.{quote_identifier(sequence.name)}"
    return None


def _none(call: Call, *_: Any) -> None:
    """NULL: objects of that kind do not exist here."""


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_get_expr": get_expr,
    "pg_get_indexdef": get_indexdef,
    "pg_get_constraintdef": get_constraintdef,
    "pg_get_viewdef": get_viewdef,
    "pg_get_ruledef": get_ruledef,
    "pg_get_function_result": routines.result,
    "pg_get_function_arguments": routines.arguments,
    "pg_get_function_identity_arguments": lambda call, oid: routines.arguments(call, oid, True),
    "pg_get_function_arg_default": routines.argument_default,
    "pg_get_functiondef": routines.definition,
    "pg_get_function_sqlbody": routines.body,
    "pg_get_triggerdef": _none,
    "pg_get_statisticsobjdef": statistics_definition,
    "pg_get_statisticsobjdef_columns": statistics_columns,
    "pg_get_replica_identity_index": _none,
    "pg_get_serial_sequence": serial_sequence,
    "obj_description": obj_description,
    "col_description": col_description,
    "shobj_description": shobj_description,
}

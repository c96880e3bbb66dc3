"""The statements of a foreign key: what its checks and actions run, as SQL text with the types of its parameters.

Every name is complete and every operator the constraint's own, so that the text means the same under any search path.
Source: PostgreSQL manual, chapter 5.4.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from aurora.errors import InvariantViolation
from compute_node.relations.descriptors import ForeignKeyDesc, RelationDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import quote_identifier

CHECK, SAME_KEY, REFERENCING = "check", "same key", "referencing"
CASCADE_DELETE, CASCADE_UPDATE = "cascade delete", "cascade update"
NULL_DELETE, NULL_UPDATE, DEFAULT_DELETE, DEFAULT_UPDATE = "n d", "n u", "d d", "d u"
SqlText = tuple[str, tuple[int, ...]]
"""a statement and the types of its parameters"""


def relation_of(view: CatalogView, oid: int) -> RelationDesc:
    """A table of the key, which must be there."""
    found = view.relation(oid)
    if found is None:
        raise InvariantViolation(f"relation {oid} of a foreign key is not in the catalog")
    return found


def table_name(desc: RelationDesc) -> str:
    """A table's complete name."""
    return f"{quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"


def source_name(desc: RelationDesc) -> str:
    """A table in FROM, UPDATE or DELETE: without those that inherit from it, but with its partitions."""
    return table_name(desc) if desc.is_partitioned else f"ONLY {table_name(desc)}"


def column_names(desc: RelationDesc, columns: Sequence[int]) -> list[str]:
    """Columns as SQL names them."""
    return [quote_identifier(desc.columns[attno - 1].name) for attno in columns]


def operator_text(view: CatalogView, oid: int) -> str:
    """An operator by its complete name."""
    found = view.operator(oid)
    return f"OPERATOR({quote_identifier(view.namespace_name(found.namespace))}.{found.name})"


def _under_key(view: CatalogView, key: ForeignKeyDesc, columns: list[str], always: bool = False) -> list[str]:
    """The referencing columns under the collations of the referenced ones, where these are others and (but ``always``)
    hold different texts for equal."""
    table, referenced = relation_of(view, key.table), relation_of(view, key.referenced)
    found = []
    for text, attno, other in zip(columns, key.columns, key.referenced_columns, strict=True):
        one, wanted = table.columns[attno - 1].collation, referenced.columns[other - 1].collation
        if wanted and one != wanted and (collation := view.collation(wanted)) is not None:
            if collation.deterministic and not always:
                found.append(text)
                continue
            schema = quote_identifier(view.namespace_name(collation.namespace))
            text = f"{text} COLLATE {schema}.{quote_identifier(collation.name)}"
        found.append(text)
    return found


def _equal(view: CatalogView, lefts: Sequence[str], operators: Sequence[int], rights: Sequence[str]) -> str:
    return " AND ".join(
        f"{left} {operator_text(view, operator)} {right}"
        for left, operator, right in zip(lefts, operators, rights, strict=True)
    )


def statement_text(view: CatalogView, key: ForeignKeyDesc, purpose: str) -> SqlText:
    """The statement for a purpose. Its parameters: of ``CHECK`` the referencing values; of all others the referenced
    values, of ``CASCADE_UPDATE`` the new ones before the old ones."""
    table, referenced = relation_of(view, key.table), relation_of(view, key.referenced)
    count = len(key.columns)
    old_types = tuple(referenced.columns[attno - 1].type for attno in key.referenced_columns)
    names = column_names(table, key.columns)
    of_key = [f"x.{name}" for name in column_names(referenced, key.referenced_columns)]
    params = [f"${number}" for number in range(1, count + 1)]
    if purpose in (CHECK, SAME_KEY):
        operators = key.operators if purpose == CHECK else key.referenced_operators
        types = tuple(table.columns[attno - 1].type for attno in key.columns) if purpose == CHECK else old_types
        condition = _equal(view, of_key, operators, params)
        return f"SELECT 1 FROM {source_name(referenced)} x WHERE {condition} FOR KEY SHARE OF x", types
    if purpose == REFERENCING:
        condition = _equal(view, params, key.operators, _under_key(view, key, [f"x.{name}" for name in names]))
        return f"SELECT 1 FROM {source_name(table)} x WHERE {condition} FOR KEY SHARE OF x", old_types
    if purpose == CASCADE_DELETE:
        condition = _equal(view, params, key.operators, _under_key(view, key, list(names)))
        return f"DELETE FROM {source_name(table)} WHERE {condition}", old_types
    if purpose == CASCADE_UPDATE:
        values = ", ".join(f"{name} = {param}" for name, param in zip(names, params, strict=True))
        old = [f"${number}" for number in range(count + 1, 2 * count + 1)]
        condition = _equal(view, old, key.operators, _under_key(view, key, list(names)))
        return f"UPDATE {source_name(table)} SET {values} WHERE {condition}", (*old_types, *old_types)
    word = "NULL" if purpose in (NULL_DELETE, NULL_UPDATE) else "DEFAULT"
    columns = key.columns
    if key.set_columns and purpose in (NULL_DELETE, DEFAULT_DELETE):
        columns = key.set_columns
    values = ", ".join(f"{name} = {word}" for name in column_names(table, columns))
    condition = _equal(view, params, key.operators, _under_key(view, key, list(names)))
    return f"UPDATE {source_name(table)} SET {values} WHERE {condition}", old_types


def violations_text(view: CatalogView, key: ForeignKeyDesc) -> str:
    """The query for rows that have no referenced row: their keys."""
    table, referenced = relation_of(view, key.table), relation_of(view, key.referenced)
    mine = [f"fk.{name}" for name in column_names(table, key.columns)]
    theirs = [f"pk.{name}" for name in column_names(referenced, key.referenced_columns)]
    on = _equal(view, theirs, key.operators, _under_key(view, key, mine, always=True))
    # MATCH FULL: one that is NULL in part is wrong whatever is there.
    filled = (" OR " if key.match_full else " AND ").join(f"{name} IS NOT NULL" for name in mine)
    return (
        f"SELECT {', '.join(mine)} FROM {source_name(table)} fk LEFT OUTER JOIN {source_name(referenced)} pk"
        f" ON ({on}) WHERE {theirs[0]} IS NULL AND ({filled})"
    )


def referenced_text(view: CatalogView, key: ForeignKeyDesc) -> str:
    """The query for referenced rows that some row refers to: their keys."""
    table, referenced = relation_of(view, key.table), relation_of(view, key.referenced)
    mine = [f"fk.{name}" for name in column_names(table, key.columns)]
    theirs = [f"pk.{name}" for name in column_names(referenced, key.referenced_columns)]
    on = _equal(view, theirs, key.operators, _under_key(view, key, mine, always=True))
    return (
        f"SELECT {', '.join(theirs)} FROM {source_name(table)} fk JOIN {source_name(referenced)} pk ON ({on}) LIMIT 1"
    )

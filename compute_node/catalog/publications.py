"""Publications as the catalog has them: which tables they name, and what they ask of a table's UPDATE and DELETE.

pg_publication, pg_publication_rel and pg_publication_namespace → tables with their column lists and row filters, and
for each table the errors that keep it from being changed: logical replication names old rows by a table's replica
identity, so a table that publishes updates or deletes must have one, and it must cover what is looked at of old rows.
Sources: PostgreSQL manual, ch. 31 (Logical Replication), and ch. 53 for the catalogs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from pglast import ast

from aurora.errors import InvalidColumnReference, ObjectNotInPrerequisiteState, SqlError
from compute_node.catalog.inheritance import descendants_of, parents_of
from compute_node.catalog.rows import CatalogReader, Record
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.parse import parse

if TYPE_CHECKING:
    from compute_node.catalog.layer import CatalogLayer

READ: Final = (
    "pg_publication", "pg_publication_rel", "pg_publication_namespace", "pg_class", "pg_index", "pg_inherits",
    "pg_attribute",
)  # fmt: skip
"""the catalogs that ``refusals_of`` looks at"""
_FULL, _BY_INDEX, _BY_KEY = "f", "i", "d"


class PublishedTable(NamedTuple):
    """A table of a publication: OID, attnos, and SQL text of the row filter, if it has one."""

    relation: int
    columns: tuple[int, ...]
    row_filter: str | None


def is_publishable(row: Record) -> bool:
    """Whether the table of a row of pg_class may be published at all."""
    return row.relkind in "rp" and row.relpersistence == "p" and row.oid >= FIRST_NORMAL_OID


def ancestors_of(reader: CatalogReader, oid: int) -> list[int]:
    """The partitioned tables that a partition is in, the nearest first."""
    found: list[int] = []
    row = reader.one("pg_class", oid=oid)
    while row is not None and row.relispartition:
        parents = parents_of(reader, row.oid)
        if not parents:
            break
        found.append(parents[0])
        row = reader.one("pg_class", oid=parents[0])
    return found


def _with_leaves(reader: CatalogReader, row: Record, as_root: bool) -> list[int]:
    """A table, for one with partitions instead those that have rows; ``as_root``: the table itself."""
    if as_root or row.relkind != "p":
        return [row.oid]
    rows = (reader.one("pg_class", oid=each) for each in descendants_of(reader, row.oid))
    return [each.oid for each in rows if each is not None and each.relkind != "p"]


def published_tables(reader: CatalogReader, publication: Record) -> list[PublishedTable]:
    """All tables that a publication has now, of partitioned ones what ``publish_via_partition_root`` says."""
    as_root = publication.pubviaroot
    found: dict[int, None] = {}
    schemas = {each.pnnspid for each in reader.find("pg_publication_namespace", pnpubid=publication.oid)}
    members = reader.find("pg_publication_rel", prpubid=publication.oid)
    if publication.puballtables:
        for row in sorted(filter(is_publishable, reader.all("pg_class")), key=lambda each: each.oid):
            if (row.relkind == "p") <= as_root and not (as_root and row.relispartition):
                found[row.oid] = None
    for oid in sorted(each.prrelid for each in members):
        named = reader.one("pg_class", oid=oid)
        if named is not None:
            found |= dict.fromkeys(_with_leaves(reader, named, as_root))
    for schema in sorted(schemas):
        rows = [row for row in reader.find("pg_class", relnamespace=schema) if is_publishable(row)]
        for row in sorted(rows, key=lambda each: (each.relkind == "p", each.oid)):
            found |= dict.fromkeys(_with_leaves(reader, row, as_root))
    if as_root:
        tables = [oid for oid in found if found.keys().isdisjoint(ancestors_of(reader, oid))]
    else:
        tables = list(found)
    by_oid = {each.prrelid: each for each in members}
    return [_table(reader, oid, by_oid.get(oid), schemas) for oid in tables]


def _table(reader: CatalogReader, oid: int, member: Record | None, schemas: set[int]) -> PublishedTable:
    row = reader.one("pg_class", oid=oid)
    if row is not None and row.relnamespace in schemas:
        # What is published as a part of its schema is so as a whole.
        member = None
    row_filter = None if member is None else member.prqual
    if member is not None and member.prattrs is not None:
        return PublishedTable(oid, tuple(member.prattrs), row_filter)
    columns = sorted(
        each.attnum for each in reader.find("pg_attribute", attrelid=oid) if each.attnum > 0 and not each.attisdropped
    )
    return PublishedTable(oid, tuple(columns), row_filter)


# --- what UPDATE and DELETE of a table need ---------------------------------------------------------------------------


class Refusal(NamedTuple):
    """An error that a change of a table raises."""

    kind: type[SqlError]
    message: str
    detail: str | None = None
    hint: str | None = None

    def error(self) -> SqlError:
        """To be raised."""
        return self.kind(self.message, detail=self.detail, hint=self.hint)


class Refusals(NamedTuple):
    """Why a table's rows may not be updated or deleted; None where they may."""

    update: Refusal | None
    delete: Refusal | None


def refusals_of(layer: CatalogLayer, oid: int) -> Refusals | None:
    """42P10 and 55000 of a table that is published; None for one that nothing hinders."""
    reader = layer.reader
    publications = reader.all("pg_publication")
    row = reader.one("pg_class", oid=oid) if publications else None
    if row is None or not is_publishable(row):
        return None
    ancestors = ancestors_of(reader, oid)
    members = {each.prpubid for table in (oid, *ancestors) for each in reader.find("pg_publication_rel", prrelid=table)}
    for table in (oid, *ancestors):
        owner = reader.one("pg_class", oid=table)
        if owner is not None:
            schema = owner.relnamespace
            members |= {each.pnpubid for each in reader.find("pg_publication_namespace", pnnspid=schema)}
    mine = [each for each in publications if each.puballtables or each.oid in members]
    found = Refusals(
        _refusal(reader, row, ancestors, [each for each in mine if each.pubupdate], _UPDATE),
        _refusal(reader, row, ancestors, [each for each in mine if each.pubdelete], _DELETE),
    )
    return found if any(found) else None


class _Words(NamedTuple):
    """How messages call a change."""

    does: str
    published: str
    doing: str


_UPDATE: Final = _Words("update table", "updates", "updating the table")
_DELETE: Final = _Words("delete from table", "deletes", "deleting from the table")


def _refusal(
    reader: CatalogReader, row: Record, ancestors: list[int], publications: list[Record], words: _Words
) -> Refusal | None:
    if not publications:
        return None
    subject = f'cannot {words.does} "{row.relname}"'
    key = _identity(reader, row)
    checks: tuple[tuple[Callable[..., bool], str], ...] = (
        (_filter_is_covered, "Column used in the publication WHERE expression is not part of the replica identity."),
        (_list_covers, "Column list used by the publication does not cover the replica identity."),
    )
    for is_fine, detail in checks:
        for publication in publications:
            member = _member(reader, publication, row, ancestors)
            if member is not None and not is_fine(reader, row, key, member):
                return Refusal(InvalidColumnReference, subject, detail)
    if key is None and row.relreplident != _FULL:
        return Refusal(
            ObjectNotInPrerequisiteState,
            f"{subject} because it does not have a replica identity and publishes {words.published}",
            hint=f"To enable {words.doing}, set REPLICA IDENTITY using ALTER TABLE.",
        )
    return None


def _identity(reader: CatalogReader, row: Record) -> tuple[int, ...] | None:
    """The columns of the index that names old rows; None without one."""
    for index in reader.find("pg_index", indrelid=row.oid):
        chosen = {_BY_KEY: index.indisprimary, _BY_INDEX: index.indisreplident}.get(row.relreplident, False)
        if chosen and index.indisvalid and index.indimmediate:
            return tuple(index.indkey[: index.indnkeyatts])
    return None


def _member(reader: CatalogReader, publication: Record, row: Record, ancestors: list[int]) -> Record | None:
    """What a publication says of a table: of the outermost table it publishes the rows as."""
    tables = [row.oid]
    if publication.pubviaroot:
        schemas = {each.pnnspid for each in reader.find("pg_publication_namespace", pnpubid=publication.oid)}
        for oid in ancestors:
            above = reader.one("pg_class", oid=oid)
            named = reader.one("pg_publication_rel", prrelid=oid, prpubid=publication.oid)
            if named is not None or (above is not None and above.relnamespace in schemas):
                tables.append(oid)
    return reader.one("pg_publication_rel", prrelid=tables[-1], prpubid=publication.oid)


def _names(reader: CatalogReader, oid: int, columns: Iterable[int]) -> set[str]:
    wanted = set(columns)
    return {each.attname for each in reader.find("pg_attribute", attrelid=oid) if each.attnum in wanted}


def _filter_is_covered(reader: CatalogReader, row: Record, key: tuple[int, ...] | None, member: Record) -> bool:
    """Whether old rows have what the row filter looks at. Partitions have their columns by name."""
    if member.prqual is None or row.relreplident == _FULL:
        return True
    return columns_of_filter(member.prqual) <= _names(reader, row.oid, key or ())


def _list_covers(reader: CatalogReader, row: Record, key: tuple[int, ...] | None, member: Record) -> bool:
    """Whether a column list has all of what names old rows."""
    if member.prattrs is None:
        return True
    if row.relreplident == _FULL:
        return False
    return _names(reader, row.oid, key or ()) <= _names(reader, member.prrelid, member.prattrs)


def columns_of_filter(text: str) -> set[str]:
    """The columns that a kept row filter names. It has no sub-selects and no whole rows."""
    found = set()
    waiting: list[object] = [parse(f"SELECT {text}")[0].node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ColumnRef):
            found.add(node.fields[-1].sval)
        elif isinstance(node, tuple):
            waiting += node
        elif isinstance(node, ast.Node):
            waiting += [getattr(node, name) for name in node]
    return found

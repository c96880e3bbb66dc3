"""XML Schemas of tables, queries, schemas and databases (SQL/XML, 9.5 to 9.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from compute_node.types import oids
from compute_node.types.registry import PgType
from compute_node.types.xml.mapping import XML
from compute_node.types.xml.names import joined_name, xml_name

Columns = Sequence[tuple[str, PgType]]
_SCHEMA: Final = "http://www.w3.org/2001/XMLSchema"
_NAMES: Final = {
    oids.NUMERIC: "NUMERIC", oids.INT4: "INTEGER", oids.INT2: "SMALLINT", oids.INT8: "BIGINT", oids.FLOAT4: "REAL",
    oids.FLOAT8: "DOUBLE", oids.BOOL: "BOOLEAN", oids.TIME: "TIME", oids.TIMETZ: "TIME_WTZ",
    oids.TIMESTAMP: "TIMESTAMP", oids.TIMESTAMPTZ: "TIMESTAMP_WTZ", oids.DATE: "DATE", XML: "XML",
    oids.BPCHAR: "CHAR", oids.VARCHAR: "VARCHAR",
}  # fmt: skip
_INTEGERS: Final = {oids.INT2: ("short", 15), oids.INT4: ("int", 31), oids.INT8: ("long", 63)}
_PLAIN: Final = {oids.FLOAT4: "float", oids.FLOAT8: "double", oids.BOOL: "boolean"}
_DAY: Final = r"\p{Nd}{4}-\p{Nd}{2}-\p{Nd}{2}"
_CLOCK: Final = r"\p{Nd}{2}:\p{Nd}{2}:\p{Nd}{2}(.\p{Nd}+)?"
_ZONE: Final = r"(\+|-)\p{Nd}{2}:\p{Nd}{2}"
_PATTERNS: Final = {
    oids.TIME: ("time", _CLOCK),
    oids.TIMETZ: ("time", _CLOCK + _ZONE),
    oids.TIMESTAMP: ("dateTime", f"{_DAY}T{_CLOCK}"),
    oids.TIMESTAMPTZ: ("dateTime", f"{_DAY}T{_CLOCK}{_ZONE}"),
    oids.DATE: ("date", _DAY),
}
_TEXTS: Final = frozenset((oids.TEXT, oids.VARCHAR, oids.BPCHAR))


class Table(NamedTuple):
    """A table or view; ``shown`` is how SQL names it."""

    oid: int
    name: str
    schema: str
    shown: str


class Schemas(NamedTuple):
    """What the names of types are made of."""

    database: str
    namespace_of: Callable[[PgType], str]
    xml_binary: str

    def type_name(self, item: PgType) -> str:
        """An SQL type's name in a schema."""
        found = _NAMES.get(item.oid)
        if found is not None:
            return found
        kind = "Domain" if item.base is not None else "UDT"
        return joined_name(kind, self.database, self.namespace_of(item), item.name)

    def type_definition(self, item: PgType) -> str:
        """What values of the type look like."""
        if item.oid == XML:
            return (
                '<xsd:complexType mixed="true">\n  <xsd:sequence>\n'
                '    <xsd:any name="element" minOccurs="0" maxOccurs="unbounded" processContents="skip"/>\n'
                "  </xsd:sequence>\n</xsd:complexType>\n"
            )
        return f'<xsd:simpleType name="{self.type_name(item)}">\n{self._restriction(item)}</xsd:simpleType>\n'

    def _restriction(self, item: PgType) -> str:
        oid = item.oid
        if oid in _TEXTS:
            return '  <xsd:restriction base="xsd:string">\n  </xsd:restriction>\n'
        if oid == oids.BYTEA:
            base = "base64Binary" if self.xml_binary == "base64" else "hexBinary"
            return f'  <xsd:restriction base="xsd:{base}">\n  </xsd:restriction>\n'
        if oid in _INTEGERS:
            base, bits = _INTEGERS[oid]
            return (
                f'  <xsd:restriction base="xsd:{base}">\n    <xsd:maxInclusive value="{2**bits - 1}"/>\n'
                f'    <xsd:minInclusive value="{-(2**bits)}"/>\n  </xsd:restriction>\n'
            )
        if oid in _PLAIN:
            return f'  <xsd:restriction base="xsd:{_PLAIN[oid]}"></xsd:restriction>\n'
        if oid in _PATTERNS:
            base, pattern = _PATTERNS[oid]
            return (
                f'  <xsd:restriction base="xsd:{base}">\n    <xsd:pattern value="{pattern}"/>\n  </xsd:restriction>\n'
            )
        return "" if item.base is None else f'  <xsd:restriction base="{self.type_name(item.root)}"/>\n'

    def types(self, columns: Iterable[Columns]) -> Iterator[str]:
        """The definitions of all types, each once, those that domains are over at the end."""
        found: dict[int, PgType] = {}
        for each in columns:
            for _, item in each:
                found.setdefault(item.oid, item)
        for item in list(found.values()):
            found.setdefault(item.root.oid, item.root)
        for item in found.values():
            yield self.type_definition(item) + "\n"


def _framed(namespace: str, parts: Iterable[str]) -> str:
    target = f'\n    targetNamespace="{namespace}"\n    elementFormDefault="qualified"' if namespace else ""
    return "".join([f'<xsd:schema\n    xmlns:xsd="{_SCHEMA}"{target}>\n\n', *parts, "</xsd:schema>"])


def _all_of(name: str, group: str, members: Iterable[str]) -> str:
    return (
        f'<xsd:complexType name="{name}">\n  <xsd:{group}>\n{"".join(members)}  </xsd:{group}>\n</xsd:complexType>\n\n'
    )


def _top(name: str, kind: str) -> str:
    return f'<xsd:element name="{name}" type="{kind}"/>\n\n'


def query_schema(
    schemas: Schemas, columns: Columns, table: Table | None, nulls: bool, forest: bool, namespace: str
) -> str:
    """Of a table's rows, or a query's."""
    if table is not None:
        name = xml_name(table.name, True)
        table_type, row_type = (
            joined_name(kind, schemas.database, table.schema, table.name) for kind in ("TableType", "RowType")
        )
    else:
        name, table_type, row_type = "row" if forest else "table", "TableType", "RowType"
    ending = ' nillable="true"' if nulls else ' minOccurs="0"'
    members = (
        f'    <xsd:element name="{xml_name(column, True)}" type="{schemas.type_name(item)}"{ending}></xsd:element>\n'
        for column, item in columns
    )
    parts = [*schemas.types([columns]), _all_of(row_type, "sequence", members)]
    if forest:
        parts.append(_top(name, row_type))
    else:
        row = f'    <xsd:element name="row" type="{row_type}" minOccurs="0" maxOccurs="unbounded"/>\n'
        parts += [_all_of(table_type, "sequence", [row]), _top(name, table_type)]
    return _framed(namespace, parts)


def schema_schema(
    schemas: Schemas,
    name: str,
    tables: Sequence[Table],
    columns: Sequence[Columns],
    nulls: bool,
    forest: bool,
    namespace: str,
) -> str:
    """Of a schema's tables."""
    kind = "RowType" if forest else "TableType"
    many = ' minOccurs="0" maxOccurs="unbounded"' if forest else ""
    members = (
        f'    <xsd:element name="{xml_name(table.name, True)}"'
        f' type="{joined_name(kind, schemas.database, name, table.name)}"{many}/>\n'
        for table in tables
    )
    own = joined_name("SchemaType", schemas.database, name)
    parts = [*schemas.types(columns), _all_of(own, "sequence" if forest else "all", members)]
    return _framed(namespace, [*parts, _top(xml_name(name, True), own)])


def database_schema(schemas: Schemas, names: Sequence[str], columns: Sequence[Columns], namespace: str) -> str:
    """Of a database's schemas."""
    members = (
        f'    <xsd:element name="{xml_name(name, True)}" type="{joined_name("SchemaType", schemas.database, name)}"/>\n'
        for name in names
    )
    own = joined_name("CatalogType", schemas.database)
    parts = [*schemas.types(columns), _all_of(own, "all", members)]
    return _framed(namespace, [*parts, _top(xml_name(schemas.database, True), own)])

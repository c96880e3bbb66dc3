"""Making relations: columns → rows of pg_class, pg_attribute, pg_type and pg_depend, and their storage."""

from __future__ import annotations

import re
from dataclasses import replace

from aurora.datum import Row
from aurora.errors import DuplicateObject, DuplicateTable, InvariantViolation, TooManyColumns
from aurora.ids import RelFile
from compute_node.catalog.builders import array_type_row, attribute_row, class_row, composite_type_row, index_row
from compute_node.catalog.ddl.context import (
    CLASS_COLLATION,
    CLASS_CONSTRAINT,
    CLASS_DEFAULT,
    CLASS_NAMESPACE,
    CLASS_OPCLASS,
    CLASS_RELATION,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.ddl.types import array_name, type_name_taken
from compute_node.catalog.rows import Record, make_row
from compute_node.relations.access_methods import METHODS
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc

COLUMNS_MAX = 1600
_NULL = re.compile(r"NULL::[^()']+")


def create_relation(
    ctx: DdlContext,
    schema: tuple[str, int],
    name: str,
    kind: str,
    columns: list[ColumnDesc],
    *,
    persistence: str = "p",
    options: list[str] | None = None,
    dimensions: dict[int, int] | None = None,
) -> RelationDesc:
    """Make a table (r, p), foreign table (f), view (v), materialized view (m), sequence (S) or composite type (c) with
    its row type; 42P07, 42710, 54011. Returns its descriptor."""
    if len(columns) > COLUMNS_MAX:
        raise TooManyColumns(f"tables can have at most {COLUMNS_MAX} columns")
    namespace = schema[1]
    layer = ctx.view.layer
    if layer.relation_oid(namespace, name) is not None:
        raise DuplicateTable(f'relation "{name}" already exists')
    has_type = kind in "rvmcpf"
    if has_type and type_name_taken(ctx, namespace, name):
        raise DuplicateObject(
            f'type "{name}" already exists',
            hint="A relation has an associated type of the same name, so you must use a name that doesn't conflict "
            "with any existing type.",
        )
    oid = ctx.next_oid()
    relfile = 0 if kind in "vcpf" else ctx.new_relation_storage(oid)
    row_type = array_type = 0
    owner = ctx.user_oid
    if has_type:
        row_type, array_type = ctx.next_oid(), ctx.next_oid()
        array_type_name = array_name(ctx, namespace, name)
        ctx.rows.insert_many(
            "pg_type",
            [
                composite_type_row(row_type, name, namespace, oid, array_type, owner),
                array_type_row(array_type, array_type_name, namespace, row_type, owner),
            ],
        )
        if kind == "c":
            # Here the type is the thing itself.
            ctx.depend((CLASS_RELATION, oid, 0), (CLASS_TYPE, row_type, 0), "i")
            ctx.depend((CLASS_TYPE, row_type, 0), (CLASS_NAMESPACE, namespace, 0), "n")
            record_owner(ctx, CLASS_TYPE, row_type, owner)
        else:
            ctx.depend((CLASS_TYPE, row_type, 0), (CLASS_RELATION, oid, 0), "i")
        ctx.depend((CLASS_TYPE, array_type, 0), (CLASS_TYPE, row_type, 0), "i")
    ctx.rows.insert_many(
        "pg_class",
        [
            class_row(
                oid,
                name,
                namespace,
                kind,
                len(columns),
                row_type=row_type,
                owner=owner,
                relfile=relfile,
                persistence=persistence,
                options=options,
            )
        ],
    )
    if kind != "c":
        record_owner(ctx, CLASS_RELATION, oid, owner)
    # A default's text is written by ``set_default``, which also raises atthasdef.
    plain = [replace(column, has_default=False, default=None) for column in columns]
    view = ctx.view
    rows = [
        attribute_row(oid, column, view.type(column.type), dimensions=(dimensions or {}).get(column.attno, 0))
        for column in plain
    ]
    ctx.rows.insert_many("pg_attribute", rows)
    if kind != "c":
        ctx.depend((CLASS_RELATION, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    for column in columns:
        ctx.depend((CLASS_RELATION, oid, column.attno), (CLASS_TYPE, column.type, 0), "n")
        depend_on_collation(ctx, (CLASS_RELATION, oid, column.attno), column.collation)
    ctx.changes.touch(oid)
    return relation(ctx, oid)


def relation(ctx: DdlContext, oid: int) -> RelationDesc:
    """The descriptor of a relation that must be there, as the transaction sees it now."""
    found = ctx.view.relation(oid)
    if found is None:
        raise InvariantViolation(f"relation {oid} is not in the catalog")
    return found


def class_record(ctx: DdlContext, oid: int) -> Record:
    """The pg_class row of a relation that must be there."""
    found = ctx.rows.one("pg_class", oid=oid)
    if found is None:
        raise InvariantViolation(f"pg_class has no row {oid}")
    return found


def attribute_record(ctx: DdlContext, oid: int, attno: int) -> Record:
    """The pg_attribute row of a column that must be there."""
    found = ctx.rows.one("pg_attribute", attrelid=oid, attnum=attno)
    if found is None:
        raise InvariantViolation(f"pg_attribute has no row {oid}, {attno}")
    return found


def touch_family(ctx: DdlContext, parent: int) -> None:
    """What was planned for a table's family is out of date: of the table (OID), and of all that it inherits from."""
    waiting = [parent]
    seen: set[int] = set()
    while waiting:
        oid = waiting.pop()
        if oid not in seen:
            seen.add(oid)
            waiting += [record.inhparent for record in ctx.rows.find("pg_inherits", inhrelid=oid)]
    ctx.changes.touch(*seen)


def set_default(ctx: DdlContext, oid: int, attno: int, text: str | None, sequence: int | None = None) -> None:
    """Store a column's default as SQL text, or remove it. ``sequence``: one that the default cannot do without."""
    if text is not None and _NULL.fullmatch(text):
        # None; but for a domain, whose own default it takes the place of.
        column = attribute_record(ctx, oid, attno)
        text = None if ctx.view.type(column.atttypid).domain is None else text
    for record in ctx.rows.find("pg_attrdef", adrelid=oid, adnum=attno):
        ctx.rows.delete("pg_attrdef", record)
        ctx.rows.delete_where("pg_depend", classid=CLASS_DEFAULT, objid=record.oid)
    if text is not None:
        default = ctx.next_oid()
        # A generated column goes with what its expression uses, where others lose their default.
        generated = bool(attribute_record(ctx, oid, attno).attgenerated)
        ctx.rows.insert("pg_attrdef", oid=default, adrelid=oid, adnum=attno, adbin=text)
        ctx.depend((CLASS_DEFAULT, default, 0), (CLASS_RELATION, oid, attno), "i" if generated else "a")
        ctx.depend_on_text((CLASS_RELATION, oid, attno) if generated else (CLASS_DEFAULT, default, 0), text)
        if sequence is not None:
            ctx.depend((CLASS_DEFAULT, default, 0), (CLASS_RELATION, sequence, 0), "n")
    ctx.rows.update("pg_attribute", attribute_record(ctx, oid, attno), atthasdef=text is not None)
    ctx.changes.touch(oid)


def depend_on_collation(ctx: DdlContext, dependent: tuple[int, int, int], collation: int) -> None:
    """A column or an index is there as long as its collation."""
    if collation:
        ctx.depend(dependent, (CLASS_COLLATION, collation, 0), "n")


def create_index(
    ctx: DdlContext,
    table: RelationDesc,
    index: IndexDesc,
    column_names: list[str],
    column_types: list[int],
    options: list[str],
) -> IndexDesc:
    """Make an index, and fill it if it is ``ready``. ``index`` comes without OID and relfile; 42P07, 23505. Returns it
    complete."""
    if ctx.view.layer.relation_oid(table.namespace, index.name) is not None:
        raise DuplicateTable(f'relation "{index.name}" already exists')
    oid = ctx.next_oid()
    # An index of a partitioned table has no entries: its partitions' have them.
    relfile = RelFile(0) if table.is_partitioned else ctx.new_relation_storage(oid)
    made = replace(index, oid=oid, relfile=relfile)
    numbers = [*made.columns, *made.included]
    types = [*column_types, *(table.columns[attno - 1].type for attno in made.included)]
    view = ctx.view
    collations = [*made.collations, *(table.columns[attno - 1].collation for attno in made.included)]
    ctx.rows.insert_many(
        "pg_class",
        [
            class_row(
                oid,
                made.name,
                table.namespace,
                "I" if table.is_partitioned else "i",
                len(numbers),
                owner=table.owner,
                relfile=made.relfile,
                persistence=table.persistence,
                rows=0.0,
                options=options or None,
                access_method=METHODS[made.method].oid,
            )
        ],
    )
    rows: list[Row] = []
    for number, (attno, kind, collation) in enumerate(zip(numbers, types, collations, strict=True), 1):
        name = column_names[number - 1]
        typmod = table.columns[attno - 1].typmod if attno else -1
        entry = ColumnDesc(number, name, kind, typmod, False, collation=collation)
        parameters = made.class_options[number - 1] if number <= len(made.class_options) else ()
        rows.append(attribute_row(oid, entry, view.type(kind), options=parameters))
    ctx.rows.insert_many("pg_attribute", rows)
    ctx.rows.insert_many("pg_index", [index_row(table.oid, made, collations[: len(made.columns)])])
    for text in (*made.expressions, *([made.predicate] if made.predicate else [])):
        ctx.depend_on_text((CLASS_RELATION, oid, 0), text)
    for collation in dict.fromkeys(made.collations):
        depend_on_collation(ctx, (CLASS_RELATION, oid, 0), collation)
    for each in made.operator_classes:
        ctx.depend((CLASS_RELATION, oid, 0), (CLASS_OPCLASS, each, 0), "n")
    record = class_record(ctx, table.oid)
    if not record.relhasindex:
        ctx.rows.update("pg_class", record, relhasindex=True)
    ctx.changes.touch(table.oid, oid)
    if not table.is_partitioned and made.ready:
        ctx.build_index(relation(ctx, table.oid), made)
    return made


def create_constraint(
    ctx: DdlContext,
    table: RelationDesc,
    name: str,
    kind: str,
    columns: tuple[int, ...],
    *,
    index: int = 0,
    check: str | None = None,
    no_inherit: bool = False,
    validated: bool = True,
    deferrable: bool = False,
    deferred: bool = False,
    operators: tuple[int, ...] = (),
) -> int:
    """A pg_constraint row of kind p, u, x or c with its dependencies; 42710. Returns its OID."""
    if any(record.conname == name for record in ctx.rows.find("pg_constraint", conrelid=table.oid)):
        raise DuplicateObject(f'constraint "{name}" for relation "{table.name}" already exists')
    oid = ctx.next_oid()
    values = {
        "oid": oid,
        "conname": name,
        "connamespace": table.namespace,
        "contype": kind,
        "condeferrable": deferrable,
        "condeferred": deferred,
        "convalidated": validated,
        "conrelid": table.oid,
        "conindid": index,
        "confupdtype": " ",
        "confdeltype": " ",
        "confmatchtype": " ",
        "conislocal": True,
        "connoinherit": no_inherit or kind != "c",
        "conkey": list(columns) or None,
        "conbin": check,
        "conexclop": list(operators) or None,
    }
    ctx.rows.insert_many("pg_constraint", [make_row("pg_constraint", values)])
    if index:
        ctx.depend((CLASS_RELATION, index, 0), (CLASS_CONSTRAINT, oid, 0), "i")
    for attno in dict.fromkeys(columns or (0,)):
        ctx.depend((CLASS_CONSTRAINT, oid, 0), (CLASS_RELATION, table.oid, attno), "a")
    if check is not None:
        ctx.depend_on_text((CLASS_CONSTRAINT, oid, 0), check)
    if kind == "c":
        record = class_record(ctx, table.oid)
        ctx.rows.update("pg_class", record, relchecks=record.relchecks + 1)
    ctx.changes.touch(table.oid)
    return oid

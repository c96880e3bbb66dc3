"""Indexes: CREATE INDEX, REINDEX, and the options of an index.

statement → key columns (columns or expressions, operator class, collation, order) → descriptor → rows of pg_class,
pg_attribute, pg_index and pg_depend, and a filled index. What an access method cannot do is refused by what
``relations/access_methods.py`` says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pglast import ast, enums

from aurora.errors import (
    DatatypeMismatch,
    IndeterminateCollation,
    InvalidObjectDefinition,
    NotSupported,
    TooManyColumns,
    UndefinedColumn,
    UndefinedObject,
    WrongObjectType,
)
from aurora.ids import Oid, RelFile
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext, cut_name
from compute_node.catalog.ddl.expressions import StoredIndexExpression, index_expression, predicate_text, uses
from compute_node.catalog.ddl.foreign_key_rows import add_recheck_trigger
from compute_node.catalog.ddl.relation import create_constraint, create_index
from compute_node.catalog.layer import class_code, stored_key_type, support_symbols
from compute_node.catalog.reloptions import class_options, index_options
from compute_node.extensions.library import ORDERS
from compute_node.relations.access_methods import BTREE, HASH, METHODS, AccessMethod
from compute_node.relations.descriptors import Excluded, IndexDesc, RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.coercion import is_binary_coercible
from compute_node.sql.analyze.naming import column_name
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.analyze.typenames import find_collation, format_type
from compute_node.txn.locks import SHARE, SHARE_UPDATE_EXCLUSIVE
from compute_node.types import oids
from compute_node.types.collation import CODE_POINTS, INDETERMINATE
from compute_node.types.registry import OperatorClass

if TYPE_CHECKING:
    from compute_node.catalog.rows import Record


_KEYS_MAX = 32
_FIRST_LETTERS_MAX = 63


@dataclass(slots=True)
class KeyColumn:
    """One column of an index: an attno, or an expression (attno 0) that reads the columns ``uses``."""

    attno: int
    type: int
    operator_class: int
    descending: bool = False
    nulls_first: bool = False
    expression: str | None = None
    name: str = ""
    collation: int = 0
    uses: tuple[int, ...] = ()
    options: tuple[str, ...] = ()
    """of its operator class"""


@dataclass(slots=True)
class IndexOptions:
    """What is said of an index beside its key columns."""

    unique: bool
    primary: bool = False
    included: tuple[int, ...] = ()
    predicate: str | None = None
    predicate_uses: tuple[int, ...] = ()
    nulls_not_distinct: bool = False
    immediate: bool = True
    exclusion: tuple[Excluded, ...] = ()
    valid: bool = True
    ready: bool = True
    method: AccessMethod = BTREE
    storage: list[str] = field(default_factory=list)


def operator_class(
    ctx: DdlContext,
    kind: int,
    named: Sequence[ast.String] | None = None,
    method: AccessMethod = BTREE,
    any_code: bool = False,
) -> int:
    """The operator class of an index column: the named one, or the type's default. ``any_code``: its support functions
    are called, so that any will do. 42704, 42804; 0A000 for functions that an index does not call."""
    view = ctx.view
    if named:
        schema = named[-2].sval if len(named) > 1 else None
        name = named[-1].sval
        found = view.find_operator_class(schema, name, method.oid)
        if found is None:
            shown = f"{schema}.{name}" if schema else name
            raise UndefinedObject(f'operator class "{shown}" does not exist for access method "{method.name}"')
        if not is_binary_coercible(view, kind, found.input_type):
            raise DatatypeMismatch(f'operator class "{name}" does not accept data type {format_type(view, kind)}')
        if found.oid >= FIRST_NORMAL_OID and not any_code and not _has_code(ctx, kind, found, method):
            order = " in the order" if method.ordered else ""
            raise NotSupported(f'an index{order} of operator class "{name}" is not supported')
        return found.oid
    default = view.default_operator_class(kind, method.oid)
    if default is None or (method is BTREE and view.type(kind).sort_key is None):
        raise UndefinedObject(
            f'data type {format_type(view, kind)} has no default operator class for access method "{method.name}"',
            hint="You must specify an operator class for the index or define a default operator class for the"
            " data type.",
        )
    return default.oid


def _has_code(ctx: DdlContext, kind: int, found: OperatorClass, method: AccessMethod) -> bool:
    """Whether a user's class is one that this program knows: its support functions are those of a built-in class; for
    an order (a hash), those of the type's default class, for indexes go by the type itself."""
    if not method.strategies:
        return bool(class_code(ctx.view.layer, found.oid))
    default = ctx.view.default_operator_class(kind, method.oid)
    if default is None:
        return False
    return found.support[:1] == default.support[:1] or _orders_as(ctx, found) == _orders_as(ctx, default) != ""


def _orders_as(ctx: DdlContext, item: OperatorClass) -> str:
    """The symbol of the comparison that an extension's class goes by, of several with one order the first; empty of
    another class."""
    row = ctx.rows.one("pg_proc", oid=item.support[0]) if item.support else None
    return "" if row is None else ORDERS.get(row.prosrc, "")


def make_index(
    ctx: DdlContext, desc: RelationDesc, name: str, keys: Sequence[KeyColumn], options: IndexOptions
) -> IndexDesc:
    """Create and fill an index over ``keys``. It has the rows of now: a transaction with an older snapshot, also the
    one that makes it, does not read by it."""
    if len(keys) + len(options.included) > _KEYS_MAX:
        raise TooManyColumns(f"cannot use more than {_KEYS_MAX} columns in an index")
    index = IndexDesc(
        oid=Oid(0),
        relfile=RelFile(0),
        name=name,
        columns=tuple(key.attno for key in keys),
        unique=options.unique,
        primary=options.primary,
        descending=tuple(key.descending for key in keys),
        nulls_first=tuple(key.nulls_first for key in keys),
        key_types=tuple(stored_key_type(ctx.view.layer, key.operator_class, key.type, key.collation) for key in keys),
        operator_classes=tuple(key.operator_class for key in keys),
        collations=tuple(key.collation for key in keys),
        included=options.included,
        expressions=tuple(key.expression for key in keys if key.expression is not None),
        predicate=options.predicate,
        nulls_not_distinct=options.nulls_not_distinct,
        immediate=options.immediate,
        valid=options.valid,
        ready=options.ready,
        method=options.method.name,
        exclusion=options.exclusion,
        codes=tuple(class_code(ctx.view.layer, key.operator_class) for key in keys),
        options=tuple(options.storage),
        class_options=tuple(key.options for key in keys),
    )
    names = column_names([key.name for key in keys] + [desc.columns[attno - 1].name for attno in options.included])
    types = [_attribute_type(ctx, key, options.method) for key in keys]
    made = create_index(ctx, desc, index, names, types, options.storage)
    used = [*made.columns, *made.included, *(attno for key in keys for attno in key.uses), *options.predicate_uses]
    for attno in dict.fromkeys(used):
        if attno:
            ctx.depend((CLASS_RELATION, made.oid, 0), (CLASS_RELATION, desc.oid, attno), "a")
    if not any(used):
        # Nothing else would take the index along when the table is dropped.
        ctx.depend((CLASS_RELATION, made.oid, 0), (CLASS_RELATION, desc.oid, 0), "a")
    txn = ctx.txn
    is_own = any(desc.relfile in level.created for level in txn.levels)
    if txn.snapshot_lsn and not is_own and ctx.storage.locks.last_commit_lsn > txn.snapshot_lsn:
        txn.leave_out((made.oid,))
    return made


def _attribute_type(ctx: DdlContext, key: KeyColumn, method: AccessMethod) -> int:
    """An index column's type in pg_attribute: what its operator class keeps of a value. A hash index keeps a number
    (but of several types only one tells)."""
    found = ctx.view.operator_class(key.operator_class)
    if method is BTREE or found is None:
        return key.type
    is_any = ctx.view.type(found.input_type).kind == "p"
    if method is HASH:
        return key.type if is_any else oids.INT4
    kept = ctx.rows.find("pg_opclass", oid=found.oid)[0].opckeytype
    if kept == oids.ANYELEMENT:
        return ctx.view.type(key.type).root.element
    # An expression's type is known from here alone.
    return key.type if not kept or (is_any and not key.attno) else kept


def column_names(names: Iterable[str]) -> list[str]:
    """The names of an index's columns: each once, numbered where they repeat (``lower``, ``lower1``)."""
    taken: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in taken:
            number += 1
            suffix = str(number)
            candidate = cut_name(name, _FIRST_LETTERS_MAX - len(suffix)) + suffix
        taken.append(candidate)
    return taken


def _shape(
    ctx: DdlContext, desc: RelationDesc, source: RelationDesc, index: IndexDesc
) -> tuple[list[KeyColumn], IndexOptions]:
    """What an index of ``source`` is made of, for a table with columns of the same names."""
    attno_of = {column.attno: desc.column(column.name) for column in source.columns if not column.dropped}

    def copied(attno: int) -> int:
        column = attno_of[attno]
        return column.attno if column is not None else 0

    texts = iter(index.expressions)
    stored = {text: _restored(ctx, desc, text) for text in index.expressions}
    kinds = {text: kind for text, (kind, _) in stored.items()}
    names = [record.attname for record in _attributes(ctx, index.oid)]
    keys = []
    for place, attno in enumerate(index.columns):
        text = None if attno else next(texts)
        keys.append(
            KeyColumn(
                copied(attno) if attno else 0,
                source.columns[attno - 1].type if text is None else kinds[text],
                index.operator_classes[place],
                index.descending[place],
                index.nulls_first[place],
                text,
                names[place],
                index.collations[place],
                stored[text][1] if text is not None else (),
                index.class_options[place] if index.class_options else (),
            )
        )
    found = ctx.view.relation(index.oid)
    options = IndexOptions(
        unique=index.unique,
        primary=index.primary,
        included=tuple(copied(attno) for attno in index.included),
        predicate=index.predicate,
        predicate_uses=() if index.predicate is None else _restored(ctx, desc, index.predicate)[1],
        nulls_not_distinct=index.nulls_not_distinct,
        immediate=index.immediate,
        exclusion=index.exclusion,
        method=METHODS[index.method],
        storage=list(found.options) if found is not None else [],
    )
    return keys, options


def second_index(ctx: DdlContext, desc: RelationDesc, index: IndexDesc, name: str) -> IndexDesc:
    """An index like another of the table, without its constraint, and yet to be filled."""
    keys, options = _shape(ctx, desc, desc, index)
    options.primary, options.immediate, options.valid, options.ready = False, True, False, False
    return make_index(ctx, desc, name, keys, options)


def copy_index(ctx: DdlContext, desc: RelationDesc, source: RelationDesc, index: IndexDesc) -> IndexDesc:
    """An index of ``source``, with its constraint, for a table with columns of the same names. Returns it complete."""
    keys, options = _shape(ctx, desc, source, index)
    label = "pkey" if index.primary else "excl" if index.exclusion else "key" if index.constraint else "idx"
    parts = [desc.name]
    if not index.primary:
        # Of INCLUDE columns, too.
        parts += [record.attname for record in _attributes(ctx, index.oid)]
    made = make_index(ctx, desc, ctx.free_name(desc.namespace, parts, label), keys, options)
    if index.constraint:
        columns = tuple(key.attno for key in keys)
        constraint = create_constraint(
            ctx,
            desc,
            made.name,
            "p" if index.primary else "x" if index.exclusion else "u",
            columns,
            index=made.oid,
            deferrable=not index.immediate,
            deferred=index.deferred,
            operators=tuple(each.operator for each in index.exclusion),
        )
        if not index.immediate:
            add_recheck_trigger(ctx, desc, constraint, made.oid, primary=index.primary, deferred=index.deferred)
        made = replace(made, constraint=constraint)
    return made


def _restored(ctx: DdlContext, desc: RelationDesc, text: str) -> tuple[int, tuple[int, ...]]:
    """The type of a stored expression and the columns that it reads, of a table that has them by name."""
    found = analyze_stored(ctx.view, desc, text, "INDEX", session=ctx.session)
    return found.type, uses(found)


def _attributes(ctx: DdlContext, oid: int) -> list[Record]:
    return sorted(ctx.rows.find("pg_attribute", attrelid=oid), key=lambda record: int(record.attnum))


_NOT_INDEXED = {"v": "views", "i": "indexes", "S": "sequences", "t": "TOAST tables", "f": "foreign tables"}


def _refuse_other_kinds(ctx: DdlContext, name: ast.RangeVar) -> None:
    desc = ctx.find(name)
    if desc is None or desc.kind in "rmp":
        return
    ctx.check_owner(desc)
    if desc.kind == "c":
        raise WrongObjectType(f'"{desc.name}" is a composite type')
    if desc.kind in _NOT_INDEXED:
        detail = f"This operation is not supported for {_NOT_INDEXED[desc.kind]}."
        raise WrongObjectType(f'cannot create index on relation "{desc.name}"', detail=detail)


def create_index_statement(ctx: DdlContext, node: ast.IndexStmt) -> str:
    """CREATE [UNIQUE] INDEX; CONCURRENTLY lets the table's writers go on meanwhile, see ``concurrently``."""
    _refuse_other_kinds(ctx, node.relation)
    from compute_node.catalog.ddl.concurrently import Parts, build_beside_writers, is_concurrent, set_flags
    from compute_node.catalog.ddl.partitions.indexes import below, check_unique, refuse_foreign, spread

    concurrent = is_concurrent(ctx, node.relation, bool(node.concurrent))
    desc = ctx.table(node.relation, SHARE_UPDATE_EXCLUSIVE if concurrent else SHARE, "rmp")
    recurse = desc.is_partitioned and bool(node.relation.inh)
    if desc.is_partitioned and node.concurrent:
        raise NotSupported(f'cannot create index on partitioned table "{desc.name}" concurrently')
    for each in below(ctx, desc) if recurse else ():
        ctx.lock(each, SHARE)
    if recurse and node.unique:
        refuse_foreign(ctx, desc)
    ctx.check_unused(desc, "CREATE INDEX")
    method = find_method(ctx, node.accessMethod or "btree")
    if node.idxname and node.if_not_exists:
        if ctx.view.layer.relation_oid(desc.namespace, cut_name(node.idxname)) is not None:
            ctx.notice(f'relation "{node.idxname}" already exists, skipping', sqlstate="42P07")
            return "CREATE INDEX"
    _check_method(method, node)
    storage = index_options(method, node.options)
    predicate = None if node.whereClause is None else predicate_text(ctx, node.whereClause, desc)
    keys = [index_key(ctx, desc, element, method) for element in node.indexParams]
    if node.unique:
        check_unique(desc, [key.attno for key in keys], "UNIQUE")
    included = tuple(included_column(desc, element) for element in node.indexIncludingParams or ())
    if node.idxname:
        name = cut_name(node.idxname)
    else:
        names = column_names([key.name for key in keys] + [desc.columns[attno - 1].name for attno in included])
        name = ctx.free_name(desc.namespace, [desc.name, *names], "idx")
    options = IndexOptions(
        unique=bool(node.unique),
        included=included,
        nulls_not_distinct=bool(node.nulls_not_distinct),
        method=method,
        valid=not concurrent and (recurse or not (desc.is_partitioned and desc.children)),
        ready=not concurrent,
        storage=storage,
    )
    if predicate is not None:
        options.predicate, options.predicate_uses = predicate.text, predicate.uses
    made = make_index(ctx, desc, name, keys, options)
    if concurrent:
        with Parts(ctx, desc) as parts:
            build_beside_writers(parts, [made.oid])
            set_flags(parts.ctx, desc.oid, made.oid, indisvalid=True)
    if recurse:
        spread(ctx, desc, made)
    return "CREATE INDEX"


def find_method(ctx: DdlContext, name: str) -> AccessMethod:
    """The access method of that name. Errors: 42704, 0A000."""
    if ctx.view.access_method(name) is None:
        raise UndefinedObject(f'access method "{name}" does not exist')
    if name not in METHODS:
        raise NotSupported(f'access method "{name}" is not supported')
    return METHODS[name]


def _check_method(method: AccessMethod, node: ast.IndexStmt) -> None:
    """0A000 for what the access method cannot do."""
    for asked, able, what in (
        (node.unique, method.unique, "unique indexes"),
        (node.indexIncludingParams, method.include, "included columns"),
        (len(node.indexParams) > 1, method.multi_column, "multicolumn indexes"),
    ):
        if asked and not able:
            raise NotSupported(f'access method "{method.name}" does not support {what}')


def _column(desc: RelationDesc, name: str) -> int:
    column = desc.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" does not exist')
    return column.attno


def included_column(desc: RelationDesc, element: ast.IndexElem) -> int:
    """The attno of an INCLUDE column. Errors: 42703, 42P17, 0A000."""
    if element.expr is not None:
        raise NotSupported("expressions are not supported in included columns")
    for asked, what in (
        (element.collation, "a collation"),
        (element.opclass, "an operator class"),
        (element.ordering != enums.SortByDir.SORTBY_DEFAULT, "ASC/DESC options"),
        (element.nulls_ordering != enums.SortByNulls.SORTBY_NULLS_DEFAULT, "NULLS FIRST/LAST options"),
    ):
        if asked:
            raise InvalidObjectDefinition(f"including column does not support {what}")
    return _column(desc, element.name)


def index_key(ctx: DdlContext, desc: RelationDesc, element: ast.IndexElem, method: AccessMethod) -> KeyColumn:
    """A key column as a statement writes it. Errors: 42703, 42704, 42804, 0A000."""
    expression: StoredIndexExpression | None = None
    if element.name is not None:
        attno = _column(desc, element.name)
        kind, name, collation = desc.columns[attno - 1].type, element.name, desc.columns[attno - 1].collation
    else:
        expression = index_expression(ctx, element.expr, desc)
        attno, kind = expression.attno, expression.type
        found = column_name(element.expr)
        name = "expr" if found == "?column?" else found
        collation = expression.collation
        if attno:
            name = desc.columns[attno - 1].name
            expression = None
    if element.collation:
        collation = _collation(ctx, element.collation, kind)
    elif collation == INDETERMINATE:
        raise IndeterminateCollation(
            "could not determine which collation to use for index expression",
            hint="Use the COLLATE clause to set the collation explicitly.",
        )
    chosen = operator_class(ctx, kind, element.opclass, method)
    _check_pattern_class(ctx, chosen, collation)
    named = ctx.view.operator_class(chosen)
    parameters: tuple[str, ...] = ()
    if named is not None:
        support: list[int | str] = [*named.support, *support_symbols(ctx.view.layer, named.support)]
        parameters = class_options(support, named.name, element.opclassopts)
    descending = element.ordering == enums.SortByDir.SORTBY_DESC
    nulls = element.nulls_ordering
    if not method.ordered:
        if element.ordering != enums.SortByDir.SORTBY_DEFAULT:
            raise NotSupported(f'access method "{method.name}" does not support ASC/DESC options')
        if nulls != enums.SortByNulls.SORTBY_NULLS_DEFAULT:
            raise NotSupported(f'access method "{method.name}" does not support NULLS FIRST/LAST options')
    default = nulls == enums.SortByNulls.SORTBY_NULLS_DEFAULT
    return KeyColumn(
        attno,
        kind,
        chosen,
        descending,
        descending if default else nulls == enums.SortByNulls.SORTBY_NULLS_FIRST,
        expression.text if expression is not None else None,
        name,
        collation,
        expression.uses if expression is not None else (),
        parameters,
    )


_PATTERN_CLASSES = frozenset({4217, 4218, 4219})


def _check_pattern_class(ctx: DdlContext, operator_class: int, collation: int) -> None:
    """0A000: the pattern classes compare bytes."""
    if operator_class in _PATTERN_CLASSES and (found := ctx.view.collation(collation)) is not None:
        if not found.deterministic:
            named = ctx.view.operator_class(operator_class)
            name = operator_class if named is None else "text_pattern_ops" if named.oid == 4218 else named.name
            raise NotSupported(f'nondeterministic collations are not supported for operator class "{name}"')
    made = ctx.view.operator_class(operator_class) if operator_class >= FIRST_NORMAL_OID else None
    if made is not None and not made.default and _orders_as(ctx, made) and collation not in CODE_POINTS:
        raise NotSupported(f'operator class "{made.name}" is not supported under collations of ICU')


def _collation(ctx: DdlContext, names: Sequence[ast.String], kind: int) -> int:
    found = find_collation(ctx.view, names)
    if not ctx.view.type(kind).collation:
        raise DatatypeMismatch(f"collations are not supported by type {format_type(ctx.view, kind)}")
    return found.oid

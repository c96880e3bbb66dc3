"""CREATE TABLE … INHERITS: what a table gets from its parents, and the link to them (manual, 5.10 and CREATE TABLE).

Columns of the parents come first, in the parents' order; one that several have, or that the statement defines, too, is
merged. CHECK constraints come along unless they are NO INHERIT. Source: PostgreSQL's MergeAttributes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pglast import ast

from aurora.errors import (
    CollationMismatch,
    DatatypeMismatch,
    DuplicateObject,
    DuplicateTable,
    InvalidColumnDefinition,
    InvariantViolation,
    NotSupported,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.ddl.column_specs import ColumnSpec
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.expressions import attnos, check_text
from compute_node.catalog.ddl.relation import (
    attribute_record,
    class_record,
    create_constraint,
    relation,
    touch_family,
)
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.expressions import Var, walk
from compute_node.sql.parse import parse
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE


@dataclass(slots=True)
class InheritedCheck:
    """A CHECK constraint that comes from ``count`` parents."""

    name: str
    text: str
    count: int = 1


@dataclass(slots=True)
class Inheritance:
    """What a new table gets from its parents. ``counts``: by column name, from how many of them; ``local``: the names
    that the statement defines itself."""

    parents: list[RelationDesc] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)
    checks: list[InheritedCheck] = field(default_factory=list)


def open_parents(ctx: DdlContext, names: Sequence[ast.RangeVar], persistence: str) -> list[RelationDesc]:
    """The tables to inherit from, locked. 42P01, 42P07 for one that is named twice, 42809, 42501."""
    found: list[RelationDesc] = []
    for name in names:
        desc = ctx.find(name)
        if desc is None:
            raise InvariantViolation(f"{name.relname} is not there")
        if any(desc.oid == each.oid for each in found):
            raise DuplicateTable(f'relation "{name.relname}" would be inherited from more than once')
        ctx.lock(desc, SHARE_UPDATE_EXCLUSIVE)
        desc = ctx.view.relation(desc.oid)
        if desc is None:
            raise UndefinedTable(f'relation "{name.relname}" does not exist')
        found.append(desc)
    for desc in found:
        check_parent(ctx, desc, persistence)
    return found


def check_parent(ctx: DdlContext, desc: RelationDesc, persistence: str, altering: bool = False) -> None:
    """Whether a table may be a parent of one of this persistence, in CREATE or ``altering``; 42809, 42501."""
    if altering and desc.kind in "rpf":
        ctx.check_owner(desc)
    if desc.is_partitioned:
        raise WrongObjectType(f'cannot inherit from partitioned table "{desc.name}"')
    if class_record(ctx, desc.oid).relispartition:
        raise WrongObjectType(
            "cannot inherit from a partition" if altering else f'cannot inherit from partition "{desc.name}"'
        )
    if desc.kind not in "rf" and altering:
        raise WrongObjectType(
            f'ALTER action INHERIT cannot be performed on relation "{desc.name}"',
            detail=f"This operation is not supported for {desc.noun}s.".replace("xs.", "xes."),
        )
    if desc.kind not in "rf":
        raise WrongObjectType(f'inherited relation "{desc.name}" is not a table or foreign table')
    if persistence != "t" and desc.persistence == "t":
        raise WrongObjectType(f'cannot inherit from temporary relation "{desc.name}"')
    if ctx.is_of_other_session(desc):
        raise WrongObjectType("cannot inherit from temporary relation of another session")
    ctx.check_owner(desc)


def merge_parents(
    ctx: DdlContext, parents: Sequence[RelationDesc], own: Sequence[ColumnSpec]
) -> tuple[list[ColumnSpec], Inheritance]:
    """The columns of a table that inherits, in their places, and what is inherited. ``own``: those that the statement
    defines. 42804, 42P21, 42611, 42710, 0A000."""
    made = Inheritance(list(parents), local={spec.column.name for spec in own})
    specs: dict[str, ColumnSpec] = {}
    conflicting: set[str] = set()
    for parent in parents:
        for column in parent.columns:
            if not column.dropped:
                _take_column(ctx, made, specs, conflicting, column)
        _take_checks(ctx, made, parent)
    for place, spec in enumerate(own, 1):
        known = specs.get(spec.column.name)
        if known is None:
            specs[spec.column.name] = spec
        else:
            _merge_own(ctx, known, spec, place)
            if spec.default is not None or spec.default_text is not None or spec.identity or spec.serial:
                conflicting.discard(spec.column.name)
    for name in specs:
        if name in conflicting:
            what = "generation expressions" if specs[name].column.generated else "default values"
            how = "a generation expression" if specs[name].column.generated else "a default"
            raise InvalidColumnDefinition(
                f'column "{name}" inherits conflicting {what}',
                hint=f"To resolve the conflict, specify {how} explicitly.",
            )
    for number, spec in enumerate(specs.values(), 1):
        spec.column = replace(spec.column, attno=number)
    return list(specs.values()), made


def _take_column(
    ctx: DdlContext, made: Inheritance, specs: dict[str, ColumnSpec], conflicting: set[str], column: ColumnDesc
) -> None:
    """A parent's column: a new one, or merged with that of another parent."""
    known = specs.get(column.name)
    if known is None:
        kept = replace(
            column,
            attno=len(specs) + 1,
            has_default=False,
            default=None,
            missing=None,
            has_missing=False,
            identity="",
            acl=None,
        )
        known = specs[column.name] = ColumnSpec(kept, dimensions=0)
        made.counts[column.name] = 0
        if not column.identity:
            known.default_text, known.sequence = column.default, sequence_of(column.default)
    else:
        ctx.notice(f'merging multiple inherited definitions of column "{column.name}"')
        _check_alike(ctx, f'inherited column "{column.name}"', known.column, column)
        if known.column.generated != column.generated:
            raise InvalidColumnDefinition(f'inherited column "{column.name}" has a generation conflict')
        known.column = replace(known.column, not_null=known.column.not_null or column.not_null)
        if column.default is not None and not column.identity:
            if known.default_text is None:
                known.default_text, known.sequence = column.default, sequence_of(column.default)
            elif known.default_text != column.default:
                conflicting.add(column.name)
    made.counts[column.name] += 1


_NEXT_VALUE = re.compile(r"nextval\('(\d+)'::regclass\)")


def sequence_of(default: str | None) -> int | None:
    """The sequence that a serial column's default takes its values from."""
    found = None if default is None else _NEXT_VALUE.fullmatch(default)
    return None if found is None else int(found[1])


def _check_alike(ctx: DdlContext, what: str, one: ColumnDesc, other: ColumnDesc) -> None:
    """42804 for another type or storage, 42P21 for another collation."""
    if (one.type, one.typmod) != (other.type, other.typmod):
        types = [format_type(ctx.view, each.type, each.typmod) for each in (one, other)]
        raise DatatypeMismatch(f"{what} has a type conflict", detail=" versus ".join(types))
    if one.collation != other.collation:
        found = [ctx.view.collation(each.collation) for each in (one, other)]
        names = [f'"{each.name if each is not None else ""}"' for each in found]
        raise CollationMismatch(f"{what} has a collation conflict", detail=" versus ".join(names))
    if one.storage and other.storage and one.storage != other.storage:
        words = {"p": "PLAIN", "e": "EXTERNAL", "x": "EXTENDED", "m": "MAIN"}
        detail = f"{words[one.storage]} versus {words[other.storage]}"
        raise DatatypeMismatch(f"{what} has a storage parameter conflict", detail=detail)
    if one.compression and other.compression and one.compression != other.compression:
        kinds = {"p": "pglz", "l": "lz4"}
        detail = f"{kinds[one.compression]} versus {kinds[other.compression]}"
        raise DatatypeMismatch(f"{what.removeprefix('inherited ')} has a compression method conflict", detail=detail)


def _merge_own(ctx: DdlContext, known: ColumnSpec, spec: ColumnSpec, place: int) -> None:
    """A column of the statement that a parent has, too."""
    name = spec.column.name
    if known.column.attno == place:
        ctx.notice(f'merging column "{name}" with inherited definition')
    else:
        detail = "User-specified column moved to the position of the inherited column."
        ctx.notice(f'moving and merging column "{name}" with inherited definition', detail=detail)
    _check_alike(ctx, f'column "{name}"', known.column, spec.column)
    if known.column.generated:
        if spec.generated is not None:
            raise InvalidColumnDefinition(
                f'child column "{name}" specifies generation expression',
                hint="Omit the generation expression in the child table column definition to inherit the generation "
                "expression from the parent table.",
            )
        if spec.default is not None or spec.serial is not None or spec.default_text is not None:
            raise InvalidColumnDefinition(f'column "{name}" inherits from generated column but specifies default')
        if spec.identity is not None:
            raise InvalidColumnDefinition(f'column "{name}" inherits from generated column but specifies identity')
    elif spec.generated is not None:
        raise InvalidColumnDefinition(
            f'child column "{name}" specifies generation expression',
            hint="A child table column cannot be generated unless its parent column is.",
        )
    known.column = replace(
        known.column,
        not_null=known.column.not_null or spec.column.not_null,
        identity=spec.column.identity,
        storage=known.column.storage or spec.column.storage,
        compression=known.column.compression or spec.column.compression,
    )
    known.keys, known.checks, known.foreign = spec.keys, spec.checks, spec.foreign
    known.serial, known.identity = spec.serial, spec.identity
    if spec.default is not None or spec.serial is not None or spec.identity is not None:
        known.default, known.default_text, known.sequence = spec.default, None, None
    elif spec.default_text is not None:
        known.default_text = spec.default_text


def _take_checks(ctx: DdlContext, made: Inheritance, parent: RelationDesc) -> None:
    known = {check.name: check for check in made.checks}
    records = [
        record
        for record in ctx.rows.find("pg_constraint", conrelid=parent.oid)
        if record.contype == "c" and not record.connoinherit
    ]
    for record in sorted(records, key=lambda record: str(record.conname)):
        refuse_whole_row(ctx, parent, record.conname, record.conbin)
        check = known.get(record.conname)
        if check is None:
            made.checks.append(InheritedCheck(record.conname, record.conbin))
        elif check.text == record.conbin:
            check.count += 1
        else:
            raise DuplicateObject(
                f'check constraint name "{record.conname}" appears multiple times but with different expressions'
            )


def refuse_whole_row(ctx: DdlContext, parent: RelationDesc, name: str, text: str) -> None:
    """0A000 for a CHECK constraint over a table's whole row, which is of another type in a child."""
    condition = analyze_stored(ctx.view, parent, text)
    if any(isinstance(node, Var) and node.attno == 0 for node in walk(condition)):
        raise NotSupported(
            "cannot convert whole-row table reference",
            detail=f'Constraint "{name}" contains a whole-row reference to table "{parent.name}".',
        )


def store_inheritance(ctx: DdlContext, desc: RelationDesc, made: Inheritance) -> None:
    """Write down what the new table ``desc`` has inherited."""
    for column in desc.columns:
        count = made.counts.get(column.name, 0)
        if count:
            record = attribute_record(ctx, desc.oid, column.attno)
            ctx.rows.update("pg_attribute", record, attislocal=column.name in made.local, attinhcount=count)
    for number, parent in enumerate(made.parents, 1):
        link(ctx, desc, parent, number)
    for check in made.checks:
        add_inherited_check(ctx, relation(ctx, desc.oid), check)


def add_inherited_check(ctx: DdlContext, desc: RelationDesc, check: InheritedCheck) -> None:
    """A CHECK constraint of the parents becomes one of the child."""
    node = parse(f"SELECT {check.text}")[0].node.targetList[0].val
    oid = create_constraint(ctx, desc, check.name, "c", attnos(desc, node), check=check_text(ctx, node, desc))
    record = ctx.rows.one("pg_constraint", oid=oid)
    if record is not None:
        ctx.rows.update("pg_constraint", record, conislocal=False, coninhcount=check.count)


def link(ctx: DdlContext, child: RelationDesc, parent: RelationDesc, number: int, *, partition: bool = False) -> None:
    """A row of pg_inherits, and the child's dependency on its parent: a partition goes with it."""
    ctx.rows.insert("pg_inherits", inhrelid=child.oid, inhparent=parent.oid, inhseqno=number)
    kind = "a" if partition else "n"
    ctx.depend((CLASS_RELATION, child.oid, 0), (CLASS_RELATION, parent.oid, 0), kind)
    record = class_record(ctx, parent.oid)
    if not record.relhassubclass:
        ctx.rows.update("pg_class", record, relhassubclass=True)
    touch_family(ctx, parent.oid)
    ctx.changes.touch(child.oid)


def unlink(ctx: DdlContext, child: RelationDesc, parent: RelationDesc) -> bool:
    """The opposite; False where there is no such link. ``relhassubclass`` stays, as PostgreSQL leaves it."""
    if not ctx.rows.delete_where("pg_inherits", inhrelid=child.oid, inhparent=parent.oid):
        return False
    ctx.rows.delete_where(
        "pg_depend", classid=CLASS_RELATION, objid=child.oid, objsubid=0,
        refclassid=CLASS_RELATION, refobjid=parent.oid, refobjsubid=0,
    )  # fmt: skip
    touch_family(ctx, parent.oid)
    ctx.changes.touch(child.oid)
    return True

"""What depends on what, and dropping: pg_depend → the objects that go, in order, and their rows.

An object is (class OID, OID, column). ``drop`` collects everything that depends on the named objects: internal and auto
dependents go along silently; normal ones need CASCADE. Source: PostgreSQL manual, ch. 5.14 and 53.18.
"""

from __future__ import annotations

from operator import itemgetter

from aurora.errors import DependentObjectsStillExist, NotSupported, SqlError
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import (
    CLASS_AMOP,
    CLASS_AMPROC,
    CLASS_CAST,
    CLASS_COLLATION,
    CLASS_CONSTRAINT,
    CLASS_CONVERSION,
    CLASS_DATABASE,
    CLASS_DEFAULT,
    CLASS_DEFAULT_ACL,
    CLASS_EXTENSION,
    CLASS_FOREIGN_DATA_WRAPPER,
    CLASS_FOREIGN_SERVER,
    CLASS_NAMESPACE,
    CLASS_OPCLASS,
    CLASS_OPERATOR,
    CLASS_OPFAMILY,
    CLASS_PARAMETER_ACL,
    CLASS_POLICY,
    CLASS_PROC,
    CLASS_PUBLICATION,
    CLASS_PUBLICATION_NAMESPACE,
    CLASS_PUBLICATION_REL,
    CLASS_RELATION,
    CLASS_REWRITE,
    CLASS_STATISTIC_EXT,
    CLASS_SUBSCRIPTION,
    CLASS_TRIGGER,
    CLASS_TS_CONFIGURATION,
    CLASS_TS_DICTIONARY,
    CLASS_TS_PARSER,
    CLASS_TS_TEMPLATE,
    CLASS_TYPE,
    CLASS_USER_MAPPING,
    DdlContext,
)
from compute_node.catalog.ddl.foreign_key_rows import remove_trigger, whole_key
from compute_node.catalog.ddl.relation import class_record, touch_family
from compute_node.catalog.rights import CLASSES
from compute_node.catalog.rows import Record
from compute_node.relations.schema import CATALOGS, CATALOGS_BY_OID, FIRST_NORMAL_OID, NAMESPACE_PUBLIC
from compute_node.sql.analyze.typenames import format_type
from compute_node.txn.locks import ACCESS_EXCLUSIVE
from compute_node.types import oids
from compute_node.types.string_functions import quote_identifier

Address = tuple[int, int, int]
_TAKEN_ALONG = "aiPSex"
"""Kinds of pg_depend.deptype whose dependent goes with what it depends on: auto, internal, partition, a member of an
extension, what is said to depend on one."""
_STORED_ALIKE = {1: oids.BOOL, 2: oids.INT2, 4: oids.OID, 8: oids.INT8}
"""By length: the type that stands for a dropped column's."""
_CLASS_LANGUAGE = CATALOGS["pg_language"].desc.oid


def describe(ctx: DdlContext, address: Address) -> str:
    """The object as messages name it: ``table t``, ``column a of table t``, ``constraint c on table t``."""
    class_oid, oid, column = address
    if class_oid == CLASS_RELATION:
        desc = ctx.view.relation(oid)
        if desc is None:
            return f"relation {oid}"
        name = desc.name if ctx.view.relation_is_visible(desc) else f"{desc.schema}.{desc.name}"
        text = f"{desc.noun} {name}"
        return f"column {desc.columns[column - 1].name} of {text}" if column else text
    if class_oid == CLASS_NAMESPACE:
        return f"schema {ctx.view.layer.namespace_name(oid)}"
    if class_oid == CLASS_DATABASE:
        record = ctx.rows.one("pg_database", oid=oid)
        return f"database {oid if record is None else record.datname}"
    if class_oid == CLASS_EXTENSION:
        record = ctx.rows.one("pg_extension", oid=oid)
        return f"extension {oid if record is None else record.extname}"
    if class_oid == shared_depend.CLASS_TABLESPACE:
        record = ctx.rows.one("pg_tablespace", oid=oid)
        return f"tablespace {oid if record is None else record.spcname}"
    if class_oid == _CLASS_LANGUAGE:
        record = ctx.rows.one("pg_language", oid=oid)
        return f"language {oid if record is None else record.lanname}"
    if class_oid in _REPLICATED:
        return _describe_replicated(ctx, class_oid, oid)
    if class_oid == CLASS_FOREIGN_DATA_WRAPPER:
        record = ctx.rows.one("pg_foreign_data_wrapper", oid=oid)
        return f"foreign-data wrapper {oid if record is None else record.fdwname}"
    if class_oid == CLASS_FOREIGN_SERVER:
        record = ctx.rows.one("pg_foreign_server", oid=oid)
        return f"server {oid if record is None else record.srvname}"
    if class_oid == CLASS_USER_MAPPING:
        return _describe_mapping(ctx, oid)
    if class_oid == CLASS_TYPE:
        return f"type {format_type(ctx.view, oid)}"
    if class_oid in (CLASS_AMOP, CLASS_AMPROC):
        return _describe_member(ctx, class_oid, oid)
    if class_oid in (CLASS_PROC, CLASS_OPERATOR, CLASS_CAST, CLASS_OPCLASS, CLASS_OPFAMILY):
        return _describe_object(ctx, class_oid, oid)
    if class_oid == CLASSES["large object"]:
        return f"large object {oid}"
    if class_oid in _NAMED:
        return _describe_named(ctx, class_oid, oid)
    if class_oid == CLASS_CONSTRAINT:
        record = ctx.rows.one("pg_constraint", oid=oid)
        if record is not None and record.contypid:
            return f"constraint {record.conname}"
        if record is not None:
            return f"constraint {record.conname} on {describe(ctx, (CLASS_RELATION, record.conrelid, 0))}"
    if class_oid == CLASS_TRIGGER:
        record = ctx.rows.one("pg_trigger", oid=oid)
        if record is not None:
            return f"trigger {record.tgname} on {describe(ctx, (CLASS_RELATION, record.tgrelid, 0))}"
    if class_oid == CLASS_POLICY:
        record = ctx.rows.one("pg_policy", oid=oid)
        if record is not None:
            return f"policy {record.polname} on {describe(ctx, (CLASS_RELATION, record.polrelid, 0))}"
    if class_oid == CLASS_PARAMETER_ACL:
        record = ctx.rows.one("pg_parameter_acl", oid=oid)
        return f"parameter {oid if record is None else record.parname}"
    if class_oid == CLASS_DEFAULT_ACL:
        record = ctx.rows.one("pg_default_acl", oid=oid)
        if record is not None:
            what = {"r": "relations", "S": "sequences", "f": "functions", "T": "types", "n": "schemas"}
            text = f"default privileges on new {what[record.defaclobjtype]} belonging to role "
            text += str(ctx.view.layer.role_name(record.defaclrole))
            schema = ctx.view.layer.namespace_name(record.defaclnamespace) if record.defaclnamespace else None
            return text + (f" in schema {schema}" if schema else "")
    if class_oid == CLASS_DEFAULT:
        record = ctx.rows.one("pg_attrdef", oid=oid)
        if record is not None:
            return f"default value for {describe(ctx, (CLASS_RELATION, record.adrelid, record.adnum))}"
    if class_oid == CLASS_REWRITE:
        record = ctx.rows.one("pg_rewrite", oid=oid)
        if record is not None:
            return f"rule {record.rulename} on {describe(ctx, (CLASS_RELATION, record.ev_class, 0))}"
    return f"object {oid} of catalog {class_oid}"


_REPLICATED = (CLASS_PUBLICATION, CLASS_PUBLICATION_REL, CLASS_PUBLICATION_NAMESPACE, CLASS_SUBSCRIPTION)


def _describe_replicated(ctx: DdlContext, class_oid: int, oid: int) -> str:
    """A publication, a table or schema in one, or a subscription."""
    record = ctx.rows.one(CATALOGS_BY_OID[class_oid].desc.name, oid=oid)
    if class_oid == CLASS_SUBSCRIPTION:
        return f"subscription {oid if record is None else record.subname}"
    if class_oid == CLASS_PUBLICATION or record is None:
        return f"publication {oid if record is None else record.pubname}"
    if class_oid == CLASS_PUBLICATION_REL:
        part, publication = (CLASS_RELATION, record.prrelid, 0), record.prpubid
    else:
        part, publication = (CLASS_NAMESPACE, record.pnnspid, 0), record.pnpubid
    whole = _describe_replicated(ctx, CLASS_PUBLICATION, publication)
    return f"publication of {describe(ctx, part)} in {whole}"


def _describe_mapping(ctx: DdlContext, oid: int) -> str:
    record = ctx.rows.one("pg_user_mapping", oid=oid)
    if record is None:
        return f"user mapping {oid}"
    role = (ctx.view.layer.role_name(record.umuser) or str(record.umuser)) if record.umuser else "public"
    return f"user mapping for {role} on {describe(ctx, (CLASS_FOREIGN_SERVER, record.umserver, 0))}"


_NAMED = {
    CLASS_COLLATION: ("collation", "coll"),
    CLASS_CONVERSION: ("conversion", "con"),
    CLASS_TS_CONFIGURATION: ("text search configuration", "cfg"),
    CLASS_TS_DICTIONARY: ("text search dictionary", "dict"),
    CLASS_TS_PARSER: ("text search parser", "prs"),
    CLASS_TS_TEMPLATE: ("text search template", "tmpl"),
    CLASS_STATISTIC_EXT: ("statistics object", "stx"),
}


def _describe_named(ctx: DdlContext, class_oid: int, oid: int) -> str:
    noun, prefix = _NAMED[class_oid]
    record = ctx.rows.one(CATALOGS_BY_OID[class_oid].desc.name, oid=oid)
    if record is None:
        return f"{noun} {oid}"
    schema = ctx.view.layer.namespace_name(getattr(record, f"{prefix}namespace")) or ""
    name = quote_identifier(getattr(record, f"{prefix}name"))
    return f"{noun} {name}" if schema in ctx.view.search_path else f"{noun} {quote_identifier(schema)}.{name}"


def _describe_object(ctx: DdlContext, class_oid: int, oid: int) -> str:
    record = ctx.rows.one(CATALOGS_BY_OID[class_oid].desc.name, oid=oid)
    if record is None:
        return f"object {oid} of catalog {class_oid}"

    def types(*kinds: int) -> str:
        return ",".join(format_type(ctx.view, kind) if kind else "NONE" for kind in kinds)

    def dot(namespace: int) -> str:
        schema = ctx.view.layer.namespace_name(namespace) or ""
        return "" if schema in ctx.view.search_path else f"{quote_identifier(schema)}."

    if class_oid == CLASS_PROC:
        return f"function {dot(record.pronamespace)}{record.proname}({types(*record.proargtypes)})"
    if class_oid == CLASS_OPERATOR:
        return f"operator {dot(record.oprnamespace)}{record.oprname}({types(record.oprleft, record.oprright)})"
    if class_oid == CLASS_CAST:
        return f"cast from {types(record.castsource)} to {types(record.casttarget)}"
    prefix = "opc" if class_oid == CLASS_OPCLASS else "opf"
    method = ctx.rows.one("pg_am", oid=getattr(record, f"{prefix}method"))
    what = "class" if class_oid == CLASS_OPCLASS else "family"
    name = dot(getattr(record, f"{prefix}namespace")) + quote_identifier(getattr(record, f"{prefix}name"))
    return f"operator {what} {name} for access method {'' if method is None else method.amname}"


def _describe_member(ctx: DdlContext, class_oid: int, oid: int) -> str:
    """An operator or function of an operator family."""
    prefix, noun, number, of = (
        ("amop", "operator", "strategy", CLASS_OPERATOR)
        if class_oid == CLASS_AMOP
        else ("amproc", "function", "num", CLASS_PROC)
    )
    record = ctx.rows.one(f"pg_{prefix}", oid=oid)
    if record is None:
        return f"{noun} {oid}"
    types = [format_type(ctx.view, getattr(record, f"{prefix}{side}type")) for side in ("left", "right")]
    member = record.amopopr if class_oid == CLASS_AMOP else record.amproc
    family = describe(ctx, (CLASS_OPFAMILY, getattr(record, f"{prefix}family"), 0))
    itself = describe(ctx, (of, member, 0)).removeprefix(f"{noun} ")
    return f"{noun} {getattr(record, prefix + number)} ({', '.join(types)}) of {family}: {itself}"


def _dependents(ctx: DdlContext, address: Address) -> list[tuple[Address, str]]:
    """Objects that refer to this one; for a whole relation also those that refer to one of its columns. The newest
    first: of several ways to an object the order decides which one is told."""
    key = {"refclassid": address[0], "refobjid": address[1]}
    found: list[Record] = ctx.rows.find("pg_depend", **key)
    if address[2]:
        found = [record for record in found if record.refobjsubid == address[2]]
    result: list[tuple[tuple[int, int, int], Address, str]] = []
    for record in found:
        dependent = (record.classid, record.objid, record.objsubid)
        if dependent[0] == CLASS_REWRITE:
            rule = ctx.rows.one("pg_rewrite", oid=record.objid)
            if rule is not None and rule.ev_type == "1":
                dependent = (CLASS_RELATION, rule.ev_class, 0)
        age = -dependent[1], dependent[0], dependent[2]
        if dependent[0] == CLASS_CONSTRAINT and record.deptype != "i":
            dependent = (CLASS_CONSTRAINT, whole_key(ctx, record.objid), 0)
        # A generated column depends on other columns of its table.
        if dependent[:2] != address[:2] or (address[2] and dependent[2] not in (0, address[2])):
            result.append((age, dependent, record.deptype))
    return [(dependent, kind) for _, dependent, kind in sorted(result, key=itemgetter(0))]


def extension_of(ctx: DdlContext, address: Address) -> int | None:
    """The OID of the extension that an object belongs to."""
    for record in ctx.rows.find("pg_depend", classid=address[0], objid=address[1]):
        if record.deptype == "e" and record.refclassid == CLASS_EXTENSION:
            return int(record.refobjid)
    return None


def drop(ctx: DdlContext, targets: list[Address], *, cascade: bool, silent: bool = False) -> None:
    """Drop the objects with what depends on them; 2BP01 when that needs CASCADE and it was not said. ``silent``: no
    notice of what else went."""
    order = dropped_with(ctx, targets, cascade=cascade, silent=silent)
    for class_oid, oid, column in reversed(order):
        # Before a row of any of them is touched: who holds a table may wait for such a row.
        table = ctx.view.relation(oid) if class_oid == CLASS_RELATION and not column else None
        if table is not None and table.kind in "rpmf":
            ctx.lock(table, ACCESS_EXCLUSIVE)
    for address in order:
        _remove(ctx, address)


class _Dropping:
    """What goes with some objects. (A method that calls itself; a function inside of one would be a circle.)"""

    def __init__(self, ctx: DdlContext, named: set[Address]) -> None:
        self._ctx = ctx
        self._named = named
        self._has_extensions = bool(ctx.rows.all("pg_extension"))
        self.order: list[Address] = []
        self.seen: set[Address] = set()
        self.normal: list[tuple[Address, Address]] = []
        """dependents that are in the way, each with what it depends on"""
        self.taken_along: set[Address] = set()

    def visit(self, address: Address, via: Address | None, kind: str) -> None:
        """The object goes, because of ``via`` that it depends on in the manner ``kind``."""
        ctx, seen = self._ctx, self.seen
        whole_of = None if via is None else _owner_of(ctx, address)
        if whole_of is not None and whole_of != via:
            self.visit(whole_of, via, kind)
            return
        if via is not None and kind in _TAKEN_ALONG:
            self.taken_along.add(address)
        whole = (address[0], address[1], 0)
        if address in seen or whole in seen:
            return
        if self._has_extensions and via is not None and address[0] != CLASS_EXTENSION:
            owner = extension_of(ctx, address)
            extension = (CLASS_EXTENSION, owner or 0, 0)
            if owner is not None and owner != ctx.session.creating_extension and extension not in seen:
                # A member does not go without its extension.
                self.visit(extension, via, kind)
                return
        seen.add(address)
        for dependent, dependency in _dependents(ctx, address):
            self.visit(dependent, address, dependency)
        # What depends on an object goes before it.
        self.order.append(address)
        if via is not None and not self._named & {address, whole} and kind not in _TAKEN_ALONG:
            self.normal.append((address, via))


def dropped_with(ctx: DdlContext, targets: list[Address], *, cascade: bool, silent: bool = False) -> list[Address]:
    """What goes when the objects are dropped, in the order in which it goes; see ``drop``."""
    named = set(targets)
    dropping = _Dropping(ctx, named)
    for target in targets:
        if target[1] < FIRST_NORMAL_OID and target[:2] != (CLASS_NAMESPACE, NAMESPACE_PUBLIC):
            raise DependentObjectsStillExist(
                f"cannot drop {describe(ctx, target)} because it is required by the database system"
            )
        _check_not_internal(ctx, target, named)
        dropping.visit(target, None, "")
    # What goes along with one of the objects by some way is not in the way by another: the default of a serial column
    # uses the sequence, and belongs to the column.
    # A column goes with its table where both do.
    blocked = [
        (address, via)
        for address, via in reversed(dropping.normal)
        if address not in dropping.taken_along and not (address[2] and (address[0], address[1], 0) in dropping.seen)
    ]
    cascaded = [address for address, _ in blocked]
    if blocked and not cascade:
        first = describe(ctx, targets[0])
        subject = first if len(targets) == 1 else "desired object(s)"
        raise DependentObjectsStillExist(
            f"cannot drop {subject} because other objects depend on it"
            if len(targets) == 1
            else "cannot drop desired object(s) because other objects depend on them",
            detail="\n".join(f"{describe(ctx, address)} depends on {describe(ctx, via)}" for address, via in blocked),
            hint="Use DROP ... CASCADE to drop the dependent objects too.",
        )
    if silent:
        cascaded.clear()
    if len(cascaded) == 1:
        ctx.notice(f"drop cascades to {describe(ctx, cascaded[0])}")
    elif cascaded:
        ctx.notice(
            f"drop cascades to {len(cascaded)} other objects",
            detail="\n".join(f"drop cascades to {describe(ctx, address)}" for address in cascaded),
        )
    return dropping.order


_OWNERS = {CLASS_AMOP: CLASS_OPCLASS, CLASS_AMPROC: CLASS_OPCLASS, CLASS_RELATION: CLASS_CONSTRAINT}


def _owner_of(ctx: DdlContext, part: Address) -> Address | None:
    """The class that a member of an operator family came with, the constraint that has an index: it goes with that."""
    owner = _OWNERS.get(part[0])
    if owner is None or part[2]:
        return None
    records = ctx.rows.find("pg_depend", classid=part[0], objid=part[1])
    found = (each.refobjid for each in records if each.deptype == "i" and each.refclassid == owner)
    return next(((owner, each, 0) for each in found), None)


_PARTS = (CLASS_RELATION, CLASS_TYPE, CLASS_PROC, CLASS_CAST, CLASS_REWRITE, CLASS_AMOP, CLASS_AMPROC)
"""what may be a part of something else"""


def _check_not_internal(ctx: DdlContext, target: Address, named: set[Address]) -> None:
    """An index of a constraint is dropped by dropping the constraint, a range type's constructor with the type."""
    # What is a part of another index is dropped with that, or with its table.
    if target[2]:
        return
    owners = ctx.rows.find("pg_depend", classid=target[0], objid=target[1])
    for record in owners:
        owner = (record.refclassid, record.refobjid, 0)
        if record.deptype == "e" and owner not in named and record.refobjid != ctx.session.creating_extension:
            raise _required_by(ctx, target, owner)
    if target[0] not in _PARTS:
        return
    for record in sorted(owners, key=lambda each: each.deptype != "P"):
        owner = (record.refclassid, record.refobjid, record.refobjsubid)
        if record.deptype in "iP" and owner not in named:
            raise _required_by(ctx, target, owner)


def _required_by(ctx: DdlContext, target: Address, owner: Address) -> SqlError:
    shown = describe(ctx, owner)
    return DependentObjectsStillExist(
        f"cannot drop {describe(ctx, target)} because {shown} requires it", hint=f"You can drop {shown} instead."
    )


_ROWS_ALONE = (
    CLASS_NAMESPACE, CLASS_EXTENSION, CLASS_FOREIGN_DATA_WRAPPER, CLASS_FOREIGN_SERVER, CLASS_USER_MAPPING,
)  # fmt: skip
"""what is one row of its catalog and nothing else"""


def _remove(ctx: DdlContext, address: Address) -> None:
    class_oid, oid, column = address
    if class_oid == CLASS_RELATION and column:
        _remove_column(ctx, oid, column)
        return
    if class_oid == CLASS_RELATION:
        _remove_relation(ctx, oid)
    elif class_oid == CLASS_CONSTRAINT:
        _remove_constraint(ctx, oid)
    elif class_oid == CLASS_DEFAULT_ACL:
        ctx.rows.delete_where("pg_default_acl", oid=oid)
    elif class_oid == CLASS_POLICY:
        policy = ctx.rows.one("pg_policy", oid=oid)
        if policy is not None:
            ctx.changes.touch(policy.polrelid)
            ctx.rows.delete("pg_policy", policy)
    elif class_oid == CLASS_REWRITE:
        rule = ctx.rows.one("pg_rewrite", oid=oid)
        if rule is not None:
            ctx.changes.touch(rule.ev_class)
            ctx.rows.delete("pg_rewrite", rule)
    elif class_oid == CLASS_TRIGGER:
        remove_trigger(ctx, oid)
    elif class_oid == CLASS_DEFAULT:
        _remove_default(ctx, oid)
    elif class_oid == CLASS_TYPE:
        ctx.rows.delete_where("pg_enum", enumtypid=oid)
        ctx.rows.delete_where("pg_range", rngtypid=oid)
        ctx.rows.delete_where("pg_type", oid=oid)
    elif class_oid == CLASS_OPERATOR:
        _remove_operator(ctx, oid)
    elif class_oid in (CLASS_PROC, CLASS_CAST, CLASS_OPCLASS, CLASS_OPFAMILY, CLASS_AMOP, CLASS_AMPROC, *_NAMED):
        if class_oid == CLASS_STATISTIC_EXT:
            ctx.rows.delete_where("pg_statistic_ext_data", stxoid=oid)
        if class_oid == CLASS_TS_CONFIGURATION:
            ctx.rows.delete_where("pg_ts_config_map", mapcfg=oid)
        if class_oid == CLASS_PROC:
            ctx.rows.delete_where("pg_aggregate", aggfnoid=oid)
            counts, database = ctx.storage.counts, ctx.view.layer.database_oid
            ctx.txn.on_commit(lambda lsn: counts.function_dropped(database, oid))
        ctx.rows.delete_where(CATALOGS_BY_OID[class_oid].desc.name, oid=oid)
    elif class_oid in (*_ROWS_ALONE, *_REPLICATED):
        ctx.rows.delete_where(CATALOGS_BY_OID[class_oid].desc.name, oid=oid)
    else:
        raise NotSupported(f"dropping objects of catalog {class_oid} is not supported")
    shared_depend.forget(ctx, class_oid, oid)
    ctx.rows.delete_where("pg_depend", classid=class_oid, objid=oid)
    ctx.rows.delete_where("pg_depend", refclassid=class_oid, refobjid=oid)
    ctx.rows.delete_where("pg_description", objoid=oid, classoid=class_oid)
    ctx.changes.touch(oid)


def _remove_relation(ctx: DdlContext, oid: int) -> None:
    record = ctx.rows.one("pg_class", oid=oid)
    if record is None:
        return
    desc = ctx.view.relation(oid)
    if desc is not None:
        ctx.lock(desc, ACCESS_EXCLUSIVE)
        if desc.kind in "rpmf":
            ctx.check_unused(desc, f"DROP {desc.noun.upper()}")
    if record.relkind == "p":
        ctx.rows.delete_where("pg_partitioned_table", partrelid=oid)
    if record.relkind == "f":
        ctx.rows.delete_where("pg_foreign_table", ftrelid=oid)
    if record.relkind in "iI":
        index = ctx.rows.one("pg_index", indexrelid=oid)
        if index is not None:
            ctx.changes.touch(index.indrelid)
            ctx.rows.delete("pg_index", index)
    for rule in ctx.rows.find("pg_rewrite", ev_class=oid):
        ctx.rows.delete_where("pg_depend", classid=CLASS_REWRITE, objid=rule.oid)
        ctx.rows.delete("pg_rewrite", rule)
    if record.relkind == "S":
        ctx.rows.delete_where("pg_sequence", seqrelid=oid)
        ctx.engine.sequences.forget(oid)
    for parent in ctx.rows.find("pg_inherits", inhrelid=oid):
        above = ctx.rows.one("pg_partitioned_table", partrelid=parent.inhparent)
        if above is not None and above.partdefid == oid:
            ctx.rows.update("pg_partitioned_table", above, partdefid=0)
        touch_family(ctx, parent.inhparent)
        ctx.rows.delete("pg_inherits", parent)
    ctx.rows.delete_where("pg_statistic", starelid=oid)
    ctx.rows.delete_where("pg_attribute", attrelid=oid)
    if record.relfilenode:
        ctx.drop_storage(record.relfilenode)
        counts, database = ctx.storage.counts, ctx.view.layer.database_oid
        ctx.txn.on_commit(lambda lsn: counts.dropped(database, oid))
    ctx.rows.delete("pg_class", record)


def _remove_operator(ctx: DdlContext, oid: int) -> None:
    """Its commutator and negator forget it."""
    record = ctx.rows.one("pg_operator", oid=oid)
    if record is None:
        return
    for column in ("oprcom", "oprnegate"):
        other = ctx.rows.one("pg_operator", oid=getattr(record, column)) if getattr(record, column) else None
        if other is not None and other.oid != oid and getattr(other, column) == oid:
            ctx.rows.update("pg_operator", other, **{column: 0})
            ctx.changes.touch(other.oid)
    ctx.rows.delete("pg_operator", record)


def _remove_constraint(ctx: DdlContext, oid: int) -> None:
    record = ctx.rows.one("pg_constraint", oid=oid)
    if record is None:
        return
    ctx.changes.touch(record.conrelid, *(oid for oid in (record.confrelid, record.contypid) if oid))
    table = ctx.rows.one("pg_class", oid=record.conrelid)
    if record.contype == "c" and table is not None:
        ctx.rows.update("pg_class", table, relchecks=table.relchecks - 1)
    ctx.rows.delete("pg_constraint", record)


def _remove_default(ctx: DdlContext, oid: int) -> None:
    record = ctx.rows.one("pg_attrdef", oid=oid)
    if record is None:
        return
    column = ctx.rows.one("pg_attribute", attrelid=record.adrelid, attnum=record.adnum)
    if column is not None:
        ctx.rows.update("pg_attribute", column, atthasdef=False)
    ctx.changes.touch(record.adrelid)
    ctx.rows.delete("pg_attrdef", record)


def _remove_column(ctx: DdlContext, oid: int, attno: int) -> None:
    """The column keeps its place and its type, so that rows written before can still be read."""
    record = ctx.rows.one("pg_attribute", attrelid=oid, attnum=attno)
    if record is None:
        # Its table has gone before it.
        return
    kept = record.atttypid
    if kept >= FIRST_NORMAL_OID:
        # The type may be dropped: one that is stored alike stands for it.
        kept = _STORED_ALIKE[record.attlen] if record.attbyval else oids.BYTEA
    ctx.rows.update(
        "pg_attribute",
        record,
        atttypid=kept,
        attname=f"........pg.dropped.{attno}........",
        attnotnull=False,
        attisdropped=True,
        atthasdef=False,
        atthasmissing=False,
        attmissingval=None,
        attidentity="",
        attacl=None,
    )
    ctx.rows.delete_where("pg_statistic", starelid=record.attrelid, staattnum=attno)
    shared_depend.forget(ctx, CLASS_RELATION, oid, attno)
    ctx.rows.delete_where("pg_depend", refclassid=CLASS_RELATION, refobjid=oid, refobjsubid=attno)
    ctx.rows.delete_where("pg_depend", classid=CLASS_RELATION, objid=oid, objsubid=attno)
    ctx.rows.delete_where("pg_description", objoid=oid, classoid=CLASS_RELATION, objsubid=attno)
    ctx.changes.touch(oid)


def refresh_has_index(ctx: DdlContext, oid: int) -> None:
    """After dropping indexes of a table: whether it still has one."""
    record = class_record(ctx, oid)
    has_index = bool(ctx.rows.find("pg_index", indrelid=oid))
    if record.relhasindex != has_index:
        ctx.rows.update("pg_class", record, relhasindex=has_index)
        ctx.changes.touch(oid)

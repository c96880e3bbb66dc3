"""Which extensions there are to be installed, the ways between their versions, tables whose rows a dump keeps
(manual, 38.17.3, 53.2, 53.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aurora.datum import Datum, Row
from aurora.errors import NotSupported, ObjectNotInPrerequisiteState, UndefinedTable
from compute_node.catalog.functions.call import Call
from compute_node.catalog.rows import CatalogRows
from compute_node.extensions import controls
from compute_node.relations.schema import CATALOGS

_CLASS_EXTENSION = CATALOGS["pg_extension"].desc.oid
_CLASS_RELATION = CATALOGS["pg_class"].desc.oid


def available(call: Call) -> Iterator[Row]:
    """pg_available_extensions: name, default version, comment."""
    for item in controls.available():
        yield item.name, item.default_version, item.comment


def available_versions(call: Call) -> Iterator[Row]:
    """pg_available_extension_versions: name, version, superuser, trusted, relocatable, schema, requires, comment."""
    for base in controls.available():
        for version in controls.installable(base):
            item = controls.of_version(base, version)
            yield (
                item.name, version, item.superuser, item.trusted, item.relocatable, item.schema,
                list(item.requires) or None, item.comment,
            )  # fmt: skip


def update_paths(call: Call, name: str) -> Iterator[Row]:
    """pg_extension_update_paths: source, target, the versions on the way between dashes, NULL where there is none.
    22023, 0A000."""
    item = controls.control(name)
    versions = sorted(each for each in controls.steps(item) if each)
    for source in versions:
        for target in versions:
            if source != target:
                way = controls.path(item, source, target)
                yield source, target, None if way is None else "--".join([source, *way])


def config_dump(call: Call, relation: int, condition: str) -> None:
    """pg_extension_config_dump: a dump keeps the rows of a member that satisfy the condition, all with ``''``. 0A000
    outside of a script, 42P01, 55000."""
    extension = call.session.creating_extension
    if not extension:
        raise NotSupported(
            "pg_extension_config_dump() can only be called from an SQL script executed by CREATE EXTENSION"
        )
    rows: CatalogRows = call.engine.catalog.changes(call.txn).rows
    table = call.view.relation(relation)
    if table is None:
        raise UndefinedTable(f"OID {relation} does not refer to a table")
    links = rows.find("pg_depend", classid=_CLASS_RELATION, objid=relation)
    if not any((each.deptype, each.refclassid, each.refobjid) == ("e", _CLASS_EXTENSION, extension) for each in links):
        raise ObjectNotInPrerequisiteState(f'table "{table.name}" is not a member of the extension being created')
    row = rows.one("pg_extension", oid=extension)
    if row is None:
        raise NotSupported(f"extension {extension} has been dropped")
    kept = dict(zip(row.extconfig or (), row.extcondition or (), strict=True)) | {relation: condition}
    rows.update("pg_extension", row, extconfig=list(kept), extcondition=list(kept.values()))


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_available_extensions": available,
    "pg_available_extension_versions": available_versions,
    "pg_extension_update_paths": update_paths,
    "pg_extension_config_dump": config_dump,
}

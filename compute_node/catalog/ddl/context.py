"""What every DDL statement works with: session, transaction, names, locks, OIDs, storage, catalog rows.

One ``DdlContext`` per statement. It is the only place of the package that knows the access layer's names for
creating and dropping storage, locking and building indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pglast import ast

from aurora.datum import Row
from aurora.errors import (
    SQLSTATES,
    InsufficientPrivilege,
    InvalidSchemaName,
    InvalidTableDefinition,
    InvariantViolation,
    NotSupported,
    ObjectInUse,
    SqlError,
    UndefinedTable,
    WrongObjectType,
)
from aurora.ids import Oid, RelFile
from compute_node.access.methods import build_index
from compute_node.access.row_events import known_events
from compute_node.catalog import statistics
from compute_node.catalog.cache import Catalog, TxnCatalog
from compute_node.catalog.inheritance import children_of
from compute_node.catalog.rights import Rights
from compute_node.catalog.rows import CatalogRows
from compute_node.catalog.view import CatalogView, Trace
from compute_node.relations.access_methods import METHODS
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.relations.schema import CATALOGS, CATALOGS_BY_OID, FIRST_NORMAL_OID, NAMESPACE_TOAST
from compute_node.session import door, prepare
from compute_node.session.acting import restricted
from compute_node.session.statement import Statement
from compute_node.sql.analyze.routines import RoutineBody
from compute_node.sql.parse import RawStatement, parse
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SHARE_UPDATE_EXCLUSIVE, SKIP_LOCKED, WAIT, object_key
from compute_node.types.acl import CREATE, TEMPORARY, TRUNCATE
from compute_node.work.progress import CreateIndex, reporting

if TYPE_CHECKING:
    from compute_node.access.storage import Storage
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.exec.nodes.base import Batch
    from compute_node.session.state import SessionState
    from compute_node.txn.transaction import Txn


NAME_BYTES_MAX = 63


class Notice(SqlError):
    """A message that is no error: 00000, successful completion."""

    sqlstate = "00000"


class DdlContext:
    """The tools of one statement. ``source`` is the text that node locations point into."""

    def __init__(
        self,
        engine: DatabaseEngine,
        session: SessionState,
        txn: Txn,
        source: str,
        clear_schema: Callable[[DdlContext, str], None],
    ) -> None:
        self._clear_schema = clear_schema
        self.engine = engine
        self.session = session
        self.txn = txn
        self.source = source
        self.param_types: tuple[int, ...] = ()
        self.params: Row = ()
        self.query_rows: Callable[[], Iterator[Batch]] | None = None
        """the rows of CREATE TABLE AS, where EXPLAIN runs its query"""
        self.catalog: Catalog = engine.catalog
        self.storage: Storage = engine.storage
        self.changes: TxnCatalog = self.catalog.changes(txn)
        self.rows: CatalogRows = self.changes.rows
        self._uses: dict[str, set[tuple[int, int, int]]] = {}

    def renewed(self, txn: Txn) -> DdlContext:
        """The same statement's tools in another transaction."""
        found = DdlContext(self.engine, self.session, txn, self.source, self._clear_schema)
        found.param_types, found.params = self.param_types, self.params
        return found

    @property
    def view(self) -> CatalogView:
        """The catalog as this transaction sees it now."""
        return self.catalog.view(self.session)

    @property
    def stored_view(self) -> CatalogView:
        """The same, with pg_catalog alone on its path: to write names that are kept as text."""
        view = self.view
        return self.catalog.make_view(view.layer, "pg_catalog", self.session.user, self.user_oid)

    def tracing(self) -> CatalogView:
        """A view for analyzing an expression that is kept; see ``keep``."""
        return self.view.traced(views=False)

    def keep(self, text: str, view: CatalogView, objects: Iterable[tuple[int, int, int]] = ()) -> str:
        """Note what a text names that is kept, for ``depend_on_text``; ``view`` analyzed it, ``objects`` stand in it
        as constants (``'s'::regclass``). Returns the text."""
        self._uses[text] = uses(view.trace or {}) | set(filter(self.is_there, objects))
        return text

    def is_there(self, address: tuple[int, int, int]) -> bool:
        """Whether a constant is the OID of an object: it may be any number."""
        return self.rows.one(CATALOGS_BY_OID[address[0]].desc.name, oid=address[1]) is not None

    def also_uses(self, text: str, columns: Iterable[tuple[int, int]]) -> None:
        """A kept text selects columns of composite types: (relation, attno)."""
        self._uses[text] |= {(CLASS_RELATION, relation, attno) for relation, attno in columns}

    def keep_as(self, written: str, text: str) -> None:
        """A kept text is written in another way, too."""
        self._uses[written] = self._uses[text]

    def depend_on_text(self, dependent: tuple[int, int, int], text: str) -> None:
        """The user functions, operators and types that a kept text names."""
        for address in self._uses.get(text, ()):
            self.depend(dependent, address, "n")

    @property
    def user_oid(self) -> int:
        """The current user."""
        return int(self.session.user_oid)

    @property
    def rights(self) -> Rights:
        """What the current user may do."""
        return self.view.layer.rights(self.user_oid)

    def notice(
        self,
        message: str,
        *,
        severity: str = "NOTICE",
        sqlstate: str = "00000",
        detail: str | None = None,
        hint: str | None = None,
        location: int | None = None,
    ) -> None:
        """Tell the client. ``location``: the offset in the statement of what it is about."""
        position = None if location is None or location < 0 else location + 1
        notice = SQLSTATES.get(sqlstate, Notice)(message, detail=detail, hint=hint, position=position)
        self.session.notice(notice, severity)

    # names

    def find(self, name: ast.RangeVar, *, missing_ok: bool = False, noun: str = "relation") -> RelationDesc | None:
        """The relation a RangeVar names; 42P01 (3F000) unless ``missing_ok``."""
        self.check_database(name)
        view = self.view
        if name.schemaname is not None and missing_ok and view.layer.namespace_oid(name.schemaname) is None:
            return None
        found = view.find_relation(name.schemaname, name.relname)
        if found is None and not missing_ok:
            shown = f"{name.schemaname}.{name.relname}" if name.schemaname else name.relname
            raise UndefinedTable(f'{noun} "{shown}" does not exist')
        return found

    def table(self, name: ast.RangeVar, mode: int = ACCESS_EXCLUSIVE, kinds: str = "rp") -> RelationDesc:
        """An ordinary table (or another of ``kinds``) for changing: locked, owned, no system catalog. 42P01, 42809,
        42501."""
        desc = self.find(name)
        if desc is None:
            raise InvariantViolation("desc is not there")
        if desc.kind in kinds:
            # Before the wait: nobody queues up for a lock on what is not theirs.
            self.check_owner(desc)
        self.lock(desc, mode)
        desc = self.view.relation(desc.oid)
        if desc is None:
            raise UndefinedTable(f'relation "{name.relname}" does not exist')
        if desc.kind not in kinds:
            raise WrongObjectType(f'"{desc.name}" is not a table')
        self.check_owner(desc)
        return desc

    def truncatable(self, name: ast.RangeVar) -> RelationDesc:
        """A table to be emptied: locked, with the privilege for it. 42P01, 42809, 42501."""
        desc = self.find(name)
        if desc is None:
            raise InvariantViolation("desc is not there")
        for _ in range(2):
            # Before the wait for the lock and, as things may have changed meanwhile, after it.
            if desc.kind not in "rpf":
                raise WrongObjectType(f'"{desc.name}" is not a table')
            if desc.is_partitioned and not name.inh:
                raise WrongObjectType(
                    "cannot truncate only a partitioned table",
                    hint="Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly.",
                )
            if desc.oid < FIRST_NORMAL_OID:
                raise InsufficientPrivilege(f'permission denied: "{desc.name}" is a system catalog')
            if not self.rights.relation(desc, TRUNCATE):
                raise InsufficientPrivilege(f"permission denied for table {desc.name}")
            self.lock(desc, ACCESS_EXCLUSIVE)
            found = self.view.relation(desc.oid)
            if found is None:
                raise UndefinedTable(f'relation "{name.relname}" does not exist')
            desc = found
        return desc

    def check_database(self, name: ast.RangeVar) -> None:
        """A three-part name may only name this database."""
        if name.catalogname and name.catalogname != self.session.database:
            shown = f"{name.catalogname}.{name.schemaname}.{name.relname}"
            raise NotSupported(f'cross-database references are not implemented: "{shown}"')

    def creation_schema(self, name: ast.RangeVar) -> tuple[str, int]:
        """(name, OID) of the schema a new relation goes to; 3F000 when there is none."""
        self.check_database(name)
        view = self.view
        if name.relpersistence == "t" or name.schemaname == "pg_temp":
            if self.session.restricted:
                raise InsufficientPrivilege("cannot create temporary table within security-restricted operation")
            if name.schemaname not in (None, "pg_temp", self.session.temp_schema):
                raise InvalidTableDefinition("cannot create temporary relation in non-temporary schema")
            self._check_temporary(name)
            return self.temp_schema()
        if name.schemaname is not None:
            schema = name.schemaname
        elif view.creation_schema is not None:
            schema = view.creation_schema
        else:
            raise InvalidSchemaName("no schema has been selected to create in")
        if schema == self.session.temp_schema:
            self._check_temporary(name)
            return self.temp_schema()
        oid = view.schema_oid(schema)
        if not self.rights.schema(oid, CREATE):
            raise InsufficientPrivilege(f"permission denied for schema {schema}")
        if schema in ("pg_catalog", "pg_toast"):
            raise InsufficientPrivilege(
                f'permission denied to create "{schema}.{name.relname}"',
                detail="System catalog modifications are currently disallowed.",
            )
        return schema, oid

    def place(self, names: Sequence[ast.String], checked: bool = True) -> tuple[int, str]:
        """(schema OID, name) of a new object that is no relation; 3F000 without a schema to put it in. Not ``checked``:
        whoever may use the schema may put it there, as PostgreSQL has it for multirange types."""
        parts = [item.sval for item in names]
        schema = parts[-2] if len(parts) > 1 else self.view.creation_schema
        if schema is not None and schema in ("pg_temp", self.session.temp_schema):
            return self.temp_schema()[1], cut_name(parts[-1])
        if len(parts) > 1:
            namespace = self.view.namespace(parts[-2])
        elif self.view.creation_schema is not None:
            namespace = self.view.namespace(self.view.creation_schema)
        else:
            raise InvalidSchemaName("no schema has been selected to create in")
        if checked and not self.rights.schema(namespace, CREATE):
            raise InsufficientPrivilege(f"permission denied for schema {self.view.namespace_name(namespace)}")
        return namespace, cut_name(parts[-1])

    @staticmethod
    def _check_temporary(name: ast.RangeVar) -> None:
        """42P16 for an unlogged relation in a temporary schema; without a word it is a temporary one there."""
        if name.relpersistence == "u":
            raise InvalidTableDefinition(
                "only temporary relations may be created in temporary schemas", position=(name.location or 0) + 1
            )

    def temp_schema(self) -> tuple[str, int]:
        """The session's schema for temporary tables, made when first needed; it goes when the session ends."""
        name = f"pg_temp_{self.session.pid}"
        if self.session.temp_schema is None and self.view.layer.namespace_oid(name) is not None:
            # Left by a session of that number that a crash ended.
            self._clear_schema(self, name)
        oid = self.view.layer.namespace_oid(name)
        if oid is None:
            database = self.session.database
            if not self.rights.database(self.view.layer.database_oid, TEMPORARY):
                raise InsufficientPrivilege(f'permission denied to create temporary tables in database "{database}"')
            oid = self.next_oid()
            self.rows.insert("pg_namespace", oid=oid, nspname=name, nspowner=10)
            self.changes.touch()
        self.session.temp_schema = name
        self.session.environment_changed()
        return name, oid

    def check_owner(self, desc: RelationDesc, noun: str | None = None) -> None:
        """42501 unless the user owns the relation or is a superuser; system catalogs belong to nobody."""
        is_toast = desc.namespace == NAMESPACE_TOAST
        if (desc.oid < FIRST_NORMAL_OID or is_toast) and self.owns(desc.owner):
            raise InsufficientPrivilege(
                f'permission denied: "{desc.name}" is a system catalog'
                if desc.oid in CATALOGS_BY_OID or is_toast
                else f'permission denied: "{desc.name}" is a system object'
            )
        if not self.owns(desc.owner):
            raise InsufficientPrivilege(f"must be owner of {noun or desc.noun} {desc.name}")

    def owns_schema(self, oid: int) -> bool:
        """Whether the user may drop what the schema holds; what belongs to the system aside."""
        record = self.rows.one("pg_namespace", oid=oid)
        return record is not None and self.owns(record.nspowner)

    def owns(self, owner: int) -> bool:
        """Whether the user is that role, a member of it or a superuser."""
        return self.rights.owns(owner)

    def require_superuser(self, message: str) -> None:
        """42501 with that message for anybody else."""
        if not self.rights.superuser:
            raise InsufficientPrivilege(message)

    def free_name(self, namespace: int, parts: list[str], label: str, taken: set[str] | None = None) -> str:
        """A relation or constraint name like ``t_a_idx``, cut to 63 bytes, numbered until it is free."""
        number = 0
        while True:
            name = object_name("_".join(parts[:1]), "_".join(parts[1:]), label + (str(number) if number else ""))
            if self.view.layer.relation_oid(namespace, name) is None and name not in (taken or ()):
                return name
            number += 1

    # storage

    def next_oid(self) -> Oid:
        """A new OID."""
        return self.storage.next_oid()

    def new_storage(self) -> RelFile:
        """The relfile of a new, empty relation; it goes if the transaction aborts."""
        relfile = self.storage.new_relfile()
        self.storage.create_storage(self.txn, relfile)
        return relfile

    def new_relation_storage(self, oid: Oid) -> RelFile:
        """The relfile of a relation that is made. If that is undone, its counters go too."""
        counts, database = self.storage.counts, self.view.layer.database_oid
        self.txn.on_undo(lambda: counts.dropped(database, oid))
        return self.new_storage()

    def drop_storage(self, relfile: RelFile) -> None:
        """Free a relation's pages when the transaction commits."""
        self.storage.drop_storage(self.txn, relfile)

    def build_index(self, desc: RelationDesc, index: IndexDesc, command: int = CreateIndex.CREATE) -> None:
        """Fill a new index from its table, and note the sizes of both; 23505 when it is to be unique and is not.
        ``command``: what it is a part of, for those who look how far it is."""
        with reporting(self.session, "CREATE INDEX", desc.oid) as progress:
            progress.put(CreateIndex.COMMAND, command)
            progress.put(CreateIndex.INDEX, index.oid)
            progress.put(CreateIndex.METHOD, METHODS[index.method].oid)
            progress.put(CreateIndex.PHASE, CreateIndex.BUILDING)
            if not index.expressions and index.predicate is None:
                built = build_index(self.txn, self.storage.table(desc), index).built
            else:
                with self.maintaining(desc):
                    built = build_index(self.txn, self.storage.table(desc), index).built
        self.note_size(desc.oid, desc.relfile, built.rows)
        self.note_size(index.oid, index.relfile, built.entries)

    def note_size(self, oid: int, relfile: RelFile, rows: int, even_empty: bool = False) -> None:
        """What is known of a relation's size now, in pg_class. Of an empty one of which nothing was known nothing is
        said but ``even_empty``, so that a new table does not look like one that was vacuumed."""
        record = self.rows.one("pg_class", oid=oid)
        if record is None:
            raise InvariantViolation(f"pg_class has no row {oid}")
        if rows == 0 and record.reltuples < 0 and not even_empty:
            return
        if statistics.set_size(self.rows, record, self.storage.blocks(relfile), rows):
            self.changes.touch(oid)
            if not any(relfile in level.created for level in self.txn.levels):
                # Others see the row, and what was put into it in place.
                self.txn.on_undo(lambda: statistics.have_changed(self.catalog, {oid}))

    def maintaining(self, desc: RelationDesc) -> AbstractContextManager[None]:
        """While a table's own functions are evaluated for whoever keeps it up: as its owner, see ``restricted``."""
        return restricted(self.session, desc.owner)

    def lock(self, desc: RelationDesc, mode: int, wait: str = WAIT) -> None:
        """Take a table-level lock until the end of the transaction; may wait, and then ``desc`` may be out of date."""
        self._lock(desc.lock_id, mode, desc.name, wait)

    def is_of_other_session(self, desc: RelationDesc) -> bool:
        """Whether it is a temporary table of another session."""
        return desc.persistence == "t" and desc.schema != self.session.temp_schema

    def lock_descendants(self, desc: RelationDesc, lock: Callable[[RelationDesc], object]) -> list[RelationDesc]:
        """The descendants of a locked table, each once, in PostgreSQL's order, as they are when they are locked. What
        inherits from one is looked up when ``lock`` has it: nobody can be added to it any more."""
        found: dict[int, RelationDesc] = {desc.oid: desc}
        waiting: list[int] = [desc.oid]
        for parent in waiting:
            for oid in children_of(self.rows, parent):
                child = None if oid in found else self.view.relation(oid)
                if child is not None:
                    lock(child)
                    child = self.view.relation(oid)
                if child is not None:
                    found[oid] = child
                    waiting.append(oid)
        del found[desc.oid]
        return list(found.values())

    def try_lock(self, desc: RelationDesc, mode: int) -> bool:
        """The same without waiting; whether it is taken."""
        return self._lock(desc.lock_id, mode, desc.name, SKIP_LOCKED)

    def lock_object(self, class_oid: int, oid: int, name: str, *, shared: bool = False) -> None:
        """Keep others from changing the catalog row of an object that is no relation, until the end of the
        transaction; may wait. ``shared``: by all databases."""
        if class_oid == CLASS_DATABASE:
            # As those lock it who connect to it, copy it or drop it.
            key = oid
        else:
            key = object_key(0 if shared else self.view.layer.database_oid, class_oid, oid)
        self._lock(key, SHARE_UPDATE_EXCLUSIVE, name)

    def _lock(self, key: int, mode: int, name: str, wait: str = WAIT) -> bool:
        version = self.catalog.version
        taken = self.storage.locks.lock_relation(self.txn, key, mode, name, wait)
        if self.catalog.version != version and self.txn.catalog_changed:
            # The transaction's own layer stands on the shared one of before.
            self.changes.touch()
        return taken

    def check_unused(self, desc: RelationDesc, statement: str) -> None:
        """55006 while an open cursor of this session reads the table: its lock is no obstacle to ourselves."""
        if self.session.portals and any(portal.reads(desc.lock_id) for portal in self.session.portals.values()):
            raise ObjectInUse(
                f'cannot {statement} "{desc.name}" because it is being used by active queries in this session'
            )
        events = known_events(self.txn)
        if events is not None and events.touches(desc.oid):
            raise ObjectInUse(f'cannot {statement} "{desc.name}" because it has pending trigger events')

    # catalog rows that several statements write

    def depend(self, dependent: tuple[int, int, int], referenced: tuple[int, int, int], kind: str) -> None:
        """A pg_depend row; objects are (class OID, OID, column). Pinned objects need none."""
        if referenced[1] < FIRST_NORMAL_OID and referenced[:2] != (CLASS_NAMESPACE, 2200):
            return
        self.rows.insert(
            "pg_depend",
            classid=dependent[0],
            objid=dependent[1],
            objsubid=dependent[2],
            refclassid=referenced[0],
            refobjid=referenced[1],
            refobjsubid=referenced[2],
            deptype=kind,
        )

    def fetch(self, node: ast.Node, source: str | None = None) -> Iterator[Batch]:
        """Analyze, plan and run a query inside this statement: its batches of rows."""
        text = self.source if source is None else source
        raw = RawStatement(node, 0, len(text))
        statement, _ = prepare.compile_statement(self.session, raw, text, list(self.param_types))
        return door.start(self.session, statement, self.params).batches()

    def fetch_own(self, text: str, trusted: bool = True) -> Iterator[Batch]:
        """``fetch`` for a query of this program's own over tables that the statement is about: the user need hold no
        privileges for them. What it calls, it calls as the current user all the same. Not ``trusted``: for a query
        that the catalog keeps, which needs its privileges."""
        raw = RawStatement(parse(text)[0].node, 0, len(text))
        executable, _ = self.session.engine.compile(raw, self.session, [], text, {}, _OWN if trusted else _KEPT)
        statement = Statement(text, self.catalog.version, [], executable, shareable=False)
        return door.start(self.session, statement, ()).batches()


_OWN = RoutineBody("", (), stored=True, trusted=True)
"""how a query of this program's own is analyzed"""
_KEPT = RoutineBody("", (), stored=True)
CLASS_DATABASE: int = CATALOGS["pg_database"].desc.oid
CLASS_RELATION: int = CATALOGS["pg_class"].desc.oid
CLASS_AUTHID: int = CATALOGS["pg_authid"].desc.oid
CLASS_TYPE: int = CATALOGS["pg_type"].desc.oid
CLASS_NAMESPACE: int = CATALOGS["pg_namespace"].desc.oid
CLASS_CONSTRAINT: int = CATALOGS["pg_constraint"].desc.oid
CLASS_DEFAULT: int = CATALOGS["pg_attrdef"].desc.oid
CLASS_REWRITE: int = CATALOGS["pg_rewrite"].desc.oid
CLASS_TRIGGER: int = CATALOGS["pg_trigger"].desc.oid
CLASS_PROC: int = CATALOGS["pg_proc"].desc.oid
CLASS_OPERATOR: int = CATALOGS["pg_operator"].desc.oid
CLASS_CAST: int = CATALOGS["pg_cast"].desc.oid
CLASS_OPCLASS: int = CATALOGS["pg_opclass"].desc.oid
CLASS_COLLATION: int = CATALOGS["pg_collation"].desc.oid
CLASS_CONVERSION: int = CATALOGS["pg_conversion"].desc.oid
CLASS_TS_CONFIGURATION: int = CATALOGS["pg_ts_config"].desc.oid
CLASS_TS_DICTIONARY: int = CATALOGS["pg_ts_dict"].desc.oid
CLASS_TS_PARSER: int = CATALOGS["pg_ts_parser"].desc.oid
CLASS_TS_TEMPLATE: int = CATALOGS["pg_ts_template"].desc.oid
CLASS_OPFAMILY: int = CATALOGS["pg_opfamily"].desc.oid
CLASS_AMOP: int = CATALOGS["pg_amop"].desc.oid
CLASS_POLICY: int = CATALOGS["pg_policy"].desc.oid
CLASS_STATISTIC_EXT: int = CATALOGS["pg_statistic_ext"].desc.oid
CLASS_DEFAULT_ACL: int = CATALOGS["pg_default_acl"].desc.oid
CLASS_PARAMETER_ACL: int = CATALOGS["pg_parameter_acl"].desc.oid
CLASS_AMPROC: int = CATALOGS["pg_amproc"].desc.oid
CLASS_PUBLICATION: int = CATALOGS["pg_publication"].desc.oid
CLASS_PUBLICATION_REL: int = CATALOGS["pg_publication_rel"].desc.oid
CLASS_PUBLICATION_NAMESPACE: int = CATALOGS["pg_publication_namespace"].desc.oid
CLASS_SUBSCRIPTION: int = CATALOGS["pg_subscription"].desc.oid
CLASS_EXTENSION: int = CATALOGS["pg_extension"].desc.oid
CLASS_FOREIGN_DATA_WRAPPER: int = CATALOGS["pg_foreign_data_wrapper"].desc.oid
CLASS_FOREIGN_SERVER: int = CATALOGS["pg_foreign_server"].desc.oid
CLASS_USER_MAPPING: int = CATALOGS["pg_user_mapping"].desc.oid


def uses(trace: Trace) -> set[tuple[int, int, int]]:
    """The user functions, operators, types and collations that an analysis has chosen, and the primary keys that it
    relies on."""
    found = set()
    for (kind, *key), answer in trace.items():
        if kind == "function":
            found.add((CLASS_PROC, key[0], 0))
        elif kind == "operator":
            found.add((CLASS_OPERATOR, key[0], 0))
        elif kind == "type name" and answer is not None:
            found.add((CLASS_TYPE, answer, 0))
        elif kind == "key constraint" and answer is not None:
            found.add((CLASS_CONSTRAINT, key[0], 0))
        elif kind == "collation" and answer is not None:
            found.add((CLASS_COLLATION, key[0], 0))
    return found


def cut_name(name: str, length: int = NAME_BYTES_MAX) -> str:
    """A name cut to that many bytes, at a character."""
    return name.encode()[:length].decode(errors="ignore")


def object_name(first: str, second: str, label: str) -> str:
    """``first_second_label`` within 63 bytes: the longer of the two names is shortened until it fits."""
    overhead = len(label.encode()) + 1 + (1 if second else 0)
    one, two = len(first.encode()), len(second.encode())
    while one + two + overhead > NAME_BYTES_MAX:
        if one > two:
            one -= 1
        else:
            two -= 1
    parts = [cut_name(first, one)]
    if second:
        parts.append(cut_name(second, two))
    return "_".join([*parts, label])

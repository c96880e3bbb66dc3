"""Who sees which state of the catalog.

``Catalog`` holds the shared layer, the version that plans are keyed by, and moves both on when a transaction that
changed the catalog commits. A layer along a search path is a ``CatalogView`` (``view.py``).
Invariants: ``version`` never repeats; a view of a transaction's own layer is never handed to another session.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from aurora.ids import NO_LSN, Lsn
from aurora.notes import Invalidations
from compute_node.catalog.answers import Answers
from compute_node.catalog.layer import CatalogLayer, Change, Role
from compute_node.catalog.rows import CatalogReader, CatalogRows, Record
from compute_node.catalog.view import CatalogView
from compute_node.relations.schema import CATALOGS, INITIAL, NAMESPACE_CATALOG, SystemCatalogs
from compute_node.types.acl import USAGE

if TYPE_CHECKING:
    from compute_node.access.storage import Storage
    from compute_node.session.state import SessionState
    from compute_node.txn.transaction import Txn


def split_path(text: str) -> list[str]:
    """The names of a search_path setting; quotes undone, unquoted names folded."""
    names = []
    for part in text.split(","):
        item = part.strip()
        if item.startswith('"') and item.endswith('"') and len(item) > 1:
            item = item[1:-1].replace('""', '"')
        else:
            item = item.lower()
        if item:
            names.append(item)
    return names


_VERSIONS = itertools.count(1)

_NOTHING: Final = frozenset[int]()


class Catalog:
    """One database's catalog: shared layer, version, and who sees what.

    ``storage`` is the access layer's ``Storage``. A transaction's own layer hangs on ``txn.catalog`` (a
    ``TxnCatalog``), None as long as it has changed nothing.
    """

    def __init__(self, storage: Storage, catalogs: SystemCatalogs = INITIAL) -> None:
        self.storage = storage
        self.catalogs = catalogs
        self._reader = CatalogReader(storage, None, catalogs)
        self.others: Callable[[], Iterable[Catalog]] = tuple
        """the catalogs of the other open databases, which share some tables with this one"""
        self.version = self.new_version()
        """moves on with every committed catalog change"""
        self._shared = CatalogLayer(self._reader, self.version)
        self._stored_settings: tuple[CatalogLayer, dict[tuple[int, int], list[str]]] | None = None
        self.changed_lsn = NO_LSN
        """commit LSN of the last catalog change: what depends on it may not be shown before it is durable"""

    def shared(self) -> CatalogLayer:
        """The layer of the committed state."""
        return self._shared

    def layer(self, session: SessionState) -> CatalogLayer:
        """What this session sees: its transaction's own layer after a change, else the shared one."""
        txn = session.txn
        if txn is not None and txn.catalog_changed:
            return self.changes(txn).layer()
        if self.changed_lsn > self.storage.volume.vdl:
            session.dependency.on(self.changed_lsn)
        return self._shared

    def view(self, session: SessionState) -> CatalogView:
        """The session's view: the same object as long as neither catalog nor search path change."""
        layer = self.layer(session)
        txn = session.txn
        unusable, undetached = (_NOTHING, _NOTHING) if txn is None else (txn.unusable, txn.undetached)
        key = (session.settings.search_path, session.user, session.user_oid, session.temp_schema, unusable, undetached)
        view = layer.views.get(key)
        if view is None:
            view = layer.views[key] = self.make_view(layer, *key)
        return view

    @staticmethod
    def make_view(
        layer: CatalogLayer,
        path_text: str,
        user: str,
        user_oid: int,
        temp_schema: str | None = None,
        unusable: frozenset[int] = frozenset(),
        undetached: frozenset[int] = frozenset(),
    ) -> CatalogView:
        """A view along ``path_text``: temporary schema and pg_catalog come first unless the path names them; schemas
        that the user may not use are not on it."""
        rights = layer.rights(user_oid)
        explicit: list[tuple[str, int]] = []
        for name in split_path(path_text):
            actual = user if name == "$user" else temp_schema if name == "pg_temp" else name
            oid = None if actual is None else layer.namespace_oid(actual)
            if actual is None or oid is None or (actual, oid) in explicit:
                continue
            if actual == temp_schema or rights.schema(oid, USAGE):
                explicit.append((actual, oid))
        creation = explicit[0][0] if explicit else None
        path = list(explicit)
        if not any(oid == NAMESPACE_CATALOG for _, oid in path):
            path.insert(0, ("pg_catalog", NAMESPACE_CATALOG))
        if temp_schema is not None and not any(name == temp_schema for name, _ in path):
            oid = layer.namespace_oid(temp_schema)
            if oid is not None:
                path.insert(0, (temp_schema, oid))
        names = tuple(name for name, _ in explicit)
        return CatalogView(layer, tuple(path), names, creation, user_oid, unusable, undetached)

    def changes(self, txn: Txn) -> TxnCatalog:
        """The transaction's own side of the catalog, begun at its first change."""
        found = txn.catalog
        if not isinstance(found, TxnCatalog):
            found = txn.tie().catalog = TxnCatalog(self, txn)
        return found

    def new_version(self) -> int:
        """A version that nothing has had yet, in no database: plans are kept under a database's name, and another may
        have had that name."""
        return next(_VERSIONS)

    def committed(self, change: Change, commit_lsn: Lsn) -> None:
        """A transaction that changed the catalog has committed: everybody sees a new state from now on."""
        self._replace(change, commit_lsn)
        shared = {name: oids for name, oids in change.written.items() if CATALOGS[name].desc.is_shared}
        if shared:
            for other in self.others():
                other._replace(Change(written=shared), commit_lsn)

    def _replace(self, change: Change, commit_lsn: Lsn) -> None:
        made = change.written.get("pg_index", set()) | change.written.get("pg_class", set())
        for txn in self.storage.txns.active if made else ():
            if txn.snapshot_lsn:
                # An index has no entries for rows that nobody saw any more when it was made, but for such a snapshot.
                txn.leave_out(made)
        before = self._shared
        self._shared = before.successor(self.new_version(), change)
        before.retire()
        self.version = self._shared.version
        self.changed_lsn = max(self.changed_lsn, commit_lsn)

    def begin_anew(self) -> None:
        """Forget everything: what has changed is not known."""
        self.version = self.new_version()
        self._shared = CatalogLayer(self._reader, self.version)

    def warm(self) -> None:
        """Load what new connections ask for, so that they need not wait: roles and databases. In a greenlet."""
        layer = self._shared
        for record in self._reader.all("pg_authid"):
            layer.role(record.rolname)
        for record in self._reader.all("pg_database"):
            layer.database(record.datname)

    def stored_settings(self, database: int, role: int) -> list[tuple[str, str]]:
        """(name, text) of what a new session of the role in the database starts with, the strongest last: system,
        database, role, role in database. Read once for each catalog version."""
        layer = self._shared
        known = self._stored_settings
        if known is None or known[0] is not layer:
            rows: dict[tuple[int, int], list[str]] = {
                (record.setdatabase, record.setrole): record.setconfig or []
                for record in self._reader.all("pg_db_role_setting")
            }
            known = self._stored_settings = (layer, rows)
        result = []
        for key in ((0, 0), (database, 0), (0, role), (database, role)):
            for item in known[1].get(key, ()):
                name, _, value = item.partition("=")
                result.append((name, value))
        return result

    def role(self, name: str) -> Role | None:
        """A role by name, as committed; for the authenticator. Waits for pages, so it is called in a greenlet."""
        return self._shared.role(name)

    def database(self, name: str) -> Record | None:
        """A pg_database row by name, as committed."""
        return self._shared.database(name)


class TxnCatalog:
    """What one transaction has changed in the catalog; its commit hook publishes it, its abort forgets it."""

    def __init__(self, catalog: Catalog, txn: Txn) -> None:
        self.catalog = catalog
        self.rows = CatalogRows(catalog.storage, txn, catalog.catalogs)
        self.change = Change(written=self.rows.written)
        self._layer: CatalogLayer | None = None
        self._base: tuple[CatalogLayer, Answers] | None = None
        """a shared layer, and what this transaction's changes up to the last layer leave of its answers"""
        self._touched: set[int] = set()
        """relations touched since the last layer"""
        self._layer_xids: frozenset[int] = frozenset()
        self._txn = txn
        txn.on_commit_anyway(self._committed)  # more changes follow when the savepoint of now is undone

    def touch(self, *oids: int) -> None:
        """Relations (or other objects) whose cached form is out of date; the layer is made anew at the next look."""
        self.change.relations.update(oids)
        self._touched.update(oids)
        self._drop_layer()
        self._txn.catalog_changed = self._txn.plans_alone = True

    def layer(self) -> CatalogLayer:
        """The state as this transaction sees it."""
        own = self._txn.own
        if self._layer is None or not self._layer_xids <= own:
            # An xid less: a rollback to a savepoint has undone changes that the layer may hold.
            self._layer_xids = frozenset(own)
            self._drop_layer()
            self._layer = CatalogLayer(self.rows, self.catalog.new_version(), self._unchanged().without(()))
        return self._layer

    def _unchanged(self) -> Answers:
        """The shared layer's answers, as far as this transaction's changes cannot have altered them."""
        shared = self.catalog.shared()
        if self._base is not None and self._base[0] is shared:
            left = self._base[1].without(Change(self._touched, self.rows.unseen).tags())
        else:
            left = shared.known.without(self.change.tags())
        self._touched, self.rows.unseen = set(), {}
        self._base = (shared, left)
        return left

    def invalidations(self) -> Invalidations:
        """What those who follow the log have to forget."""
        rows: dict[int, frozenset[int]] = {
            CATALOGS[name].desc.oid: frozenset(oids) for name, oids in self.change.written.items()
        }
        return Invalidations(self.catalog.catalogs.database, frozenset(self.change.relations), rows)

    def _committed(self, commit_lsn: Lsn) -> None:
        if self._txn.catalog_changed:
            self.catalog.committed(self.change, commit_lsn)

    def ended(self) -> None:
        """See ``TxnChanges``."""
        self._drop_layer()
        self._base = None

    def _drop_layer(self) -> None:
        if self._layer is not None:
            self._layer.retire()
            self._layer = None

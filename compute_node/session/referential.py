"""Foreign keys at work: events of changed rows → checks and actions, each a statement through the one door.

```
end of a statement ─► fire ─► event ─┬─ deferred ─► RowEvents.deferred ─► fire_deferred (commit, SET CONSTRAINTS)
                        ▲            └─ now ─► check, or action ─► door.run ─► rows change ─┐
                        └────────────────────────── new events ◄────────────────────────────┘
```

A referencing row that is new takes the referenced row FOR KEY SHARE, so that nobody deletes it or changes its key
before the transaction ends. Statements run as the owner of the table that they read or change, under a snapshot of
their own; in REPEATABLE READ a check reads with the transaction's, an action with the newest one, and an action on a
row that the transaction cannot see is 40001. A cascade is a loop, not a recursion: its depth costs nothing.
Sources: PostgreSQL manual, chapters 5.4.5 and 13.2; CREATE TABLE, REFERENCES.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aurora.datum import Row
from aurora.errors import ForeignKeyViolation, InvariantViolation, SqlError
from compute_node.access.row_events import Event, LostKey, NewEntries, NewReferences, RowEvents, events_of, known_events
from compute_node.access.watched_table import WatchedTable
from compute_node.hub import HUB
from compute_node.relations.descriptors import ForeignKeyDesc, RelationDesc
from compute_node.session import door, prepare, transactions
from compute_node.session import referential_sql as texts
from compute_node.session.acting import as_owner
from compute_node.session.plans import bounded_put
from compute_node.session.sinks import RowList
from compute_node.session.state import SessionState
from compute_node.session.statement import Params, Statement
from compute_node.sql.parse import parse
from compute_node.txn.transaction import Txn

NO_ACTION, RESTRICT, CASCADE, SET_NULL = "a", "r", "c", "n"
PLANS_KEPT = 1024
_SET = {("n", False): texts.NULL_DELETE, ("n", True): texts.NULL_UPDATE, ("d", False): texts.DEFAULT_DELETE,
        ("d", True): texts.DEFAULT_UPDATE}  # fmt: skip
"""(action, whether by an update) → what to run"""


def _txn(session: SessionState) -> Txn:
    if session.txn is None:
        raise InvariantViolation("foreign keys are checked without a transaction")
    return session.txn


def fire(session: SessionState) -> None:
    """A statement has ended: what foreign keys want of its changes. Does nothing within an action's own statement:
    what that changes is looked at after it. Errors: 23503, and what the actions' statements raise."""
    txn = session.txn
    events = None if txn is None else known_events(txn)
    if events is None or events.firing or session.gathering or not events.now:
        return
    _drain(session, events, sorting=True)


def fire_deferred(session: SessionState) -> None:
    """The transaction is about to commit: the checks that waited for that."""
    events = events_of(_txn(session))
    while events.deferred:
        events.now, events.deferred = events.deferred, []
        _drain(session, events, sorting=False)


def fire_undeferred(session: SessionState, events: RowEvents) -> None:
    """SET CONSTRAINTS … IMMEDIATE: what has waited and need not any more."""
    waiting = [event for event in events.deferred if events.is_deferred(event.key)]
    if len(waiting) == len(events.deferred):
        return
    events.now = [event for event in events.deferred if not events.is_deferred(event.key)]
    events.deferred = waiting
    _drain(session, events, sorting=True)


def set_constraints(session: SessionState, keys: Sequence[int] | None, deferred: bool) -> None:
    """SET CONSTRAINTS, of all (None) or of those constraints; what need not wait any more is checked now."""
    txn = transactions.ensure(session)
    events = events_of(txn)
    events.save(txn)
    if keys is None:
        events.deferred_all = deferred
        events.deferred_of.clear()
    else:
        events.deferred_of.update(dict.fromkeys(keys, deferred))
    if not deferred:
        fire_undeferred(session, events)


def _drain(session: SessionState, events: RowEvents, sorting: bool) -> None:
    txn = _txn(session)
    query, oldest_lsn = session.query, txn.oldest_lsn
    events.firing = True
    session.depth += 1
    try:
        run = _Run(session, events)
        while events.now:
            batch, events.now = events.now, []
            for event in batch:
                if sorting and _waits(events, event):
                    events.defer(txn, event)
                else:
                    run.one(event)
    except BaseException:
        events.now = []
        raise
    finally:
        events.firing = False
        events.crosscheck = None
        session.depth -= 1
        session.query = query
        txn.oldest_lsn = oldest_lsn


def _waits(events: RowEvents, event: Event) -> bool:
    """Whether an event is for the commit: of actions only NO ACTION can wait."""
    if not events.is_deferred(event.key):
        return False
    if not isinstance(event, LostKey):
        return True
    return (event.key.on_delete if event.new is None else event.key.on_update) == NO_ACTION


class _Run:
    """One pass over events. ``_there``: keys that have been found and locked, and that nothing has changed since: of
    many rows that refer to one, only the first looks."""

    def __init__(self, session: SessionState, events: RowEvents) -> None:
        self._session = session
        self._txn = _txn(session)
        self._events = events
        self._there: set[tuple[int, Row]] = set()

    def one(self, event: Event) -> None:
        """Look at one event."""
        HUB.pulse()
        self._session.check_interrupts()
        if isinstance(event, NewReferences):
            self._check_rows(event)
            return
        if isinstance(event, NewEntries):
            self._check_entries(event)
            return
        action = event.key.on_delete if event.new is None else event.key.on_update
        if action in (NO_ACTION, RESTRICT):
            self._forbid(event, action)
            return
        self._there.clear()
        try:
            self._act(event, action)
        except SqlError as error:
            if error.where is None and not isinstance(error, ForeignKeyViolation):
                error.where = f'SQL statement "{self._text(event.key, self._purpose(event, action))}"'
            raise
        if action == "d":
            # What has its default's key already was not changed, and refers to the old key as before.
            self._forbid(event, NO_ACTION)

    # The referencing side

    def _check_rows(self, event: NewReferences) -> None:
        key = event.key
        view = self._session.engine.catalog.view(self._session)
        relation = view.relation(event.relation.oid)
        if relation is None or key.oid not in [each.oid for each in relation.foreign_keys]:
            return  # dropped since
        table = self._session.engine.storage.table(relation)
        if not isinstance(table, WatchedTable):
            raise InvariantViolation(f"table {relation.name} has foreign keys and is not watched")
        for number, tid in enumerate(event.tids):
            values = table.current(self._txn, tid, key.columns)
            if values is not None and (key.oid, values) not in self._there:
                self._check(relation, key, values)
                self._there.add((key.oid, values))
            if not number & 63:
                HUB.pulse()
                self._session.check_interrupts()

    def _check_entries(self, event: NewEntries) -> None:
        """A unique constraint that can be deferred."""
        relation = self._session.engine.catalog.view(self._session).relation(event.relation.oid)
        found = None if relation is None else next((i for i in relation.indexes if i.oid == event.key.index_oid), None)
        if relation is None or found is None:
            return  # dropped since
        table = self._session.engine.storage.table(relation)
        index = table.index(found)
        if not isinstance(table, WatchedTable):
            raise InvariantViolation(f"index {found.name} has a constraint that it cannot check")
        every = tuple(range(1, len(relation.columns) + 1))
        for number, tid in enumerate(event.tids):
            version = table.current_version(self._txn, tid, every)
            if version is not None:
                index.recheck(self._txn, version[1], version[0])
            if not number & 63:
                HUB.pulse()
                self._session.check_interrupts()

    def _check(self, relation: RelationDesc, key: ForeignKeyDesc, values: Params) -> None:
        nulls = values.count(None)
        if nulls and (nulls == len(values) or not key.match_full):
            return
        if nulls:
            raise ForeignKeyViolation(
                f'insert or update on table "{relation.name}" violates foreign key constraint "{key.name}"',
                detail="MATCH FULL does not allow mixing of null and nonnull key values.",
                schema=relation.schema, table=relation.name, constraint=key.name,
            )  # fmt: skip
        if not self._finds(key, texts.CHECK, values):
            referenced = self._relation(key.referenced)
            raise missing_key(self._session, relation, referenced, key, values)

    # The referenced side

    def _forbid(self, event: LostKey, action: str) -> None:
        """NO ACTION and RESTRICT; the first is content with another row that has the key by now."""
        key = event.key
        if action == NO_ACTION and self._finds(key, texts.SAME_KEY, event.old):
            return
        if not self._finds(key, texts.REFERENCING, event.old, newest=True):
            return
        table = self._relation(key.table)
        raise ForeignKeyViolation(
            f'update or delete on table "{event.relation.name}" violates foreign key constraint "{key.name}" on table'
            f' "{table.name}"',
            detail=_detail(
                self._session, event.relation, key.referenced_columns, event.old,
                f'is still referenced from table "{table.name}".',
            ),
            schema=table.schema, table=table.name, constraint=key.name,
        )  # fmt: skip

    @staticmethod
    def _purpose(event: LostKey, action: str) -> str:
        if action == CASCADE:
            return texts.CASCADE_DELETE if event.new is None else texts.CASCADE_UPDATE
        return _SET[action, event.new is not None]

    def _act(self, event: LostKey, action: str) -> None:
        purpose = self._purpose(event, action)
        params = (*event.new, *event.old) if purpose == texts.CASCADE_UPDATE and event.new is not None else event.old
        with as_owner(self._session, self._relation(event.key.table).owner):
            statement = self._statement(event.key, purpose)
            snapshot = self._newest()
            self._events.crosscheck = None if snapshot is None else self._session.engine.snapshot(self._txn)
            try:
                door.run(self._session, statement, params, RowList(), snapshot)
            finally:
                self._events.crosscheck = None

    # Statements

    def _newest(self) -> Any:
        """The snapshot of actions in REPEATABLE READ: the transaction's own does not show who refers to a key now."""
        txn = self._txn
        if txn.follow:
            return None
        txns = self._session.engine.storage.txns
        txn.depend(txns.locks.last_commit_lsn)
        txn.cid += 1
        return txns.latest_snapshot(txn)

    def _finds(self, key: ForeignKeyDesc, purpose: str, params: Params, newest: bool = False) -> bool:
        """Whether the statement gives a row; it is locked FOR KEY SHARE."""
        reads = key.table if purpose == texts.REFERENCING else key.referenced
        with as_owner(self._session, self._relation(reads).owner):
            return door.finds(self._session, self._statement(key, purpose), params, self._newest() if newest else None)

    def _relation(self, oid: int) -> RelationDesc:
        return texts.relation_of(self._session.engine.catalog.view(self._session), oid)

    def _text(self, key: ForeignKeyDesc, purpose: str) -> str:
        return texts.statement_text(self._session.engine.catalog.view(self._session), key, purpose)[0]

    def _statement(self, key: ForeignKeyDesc, purpose: str) -> Statement:
        """The key's statement for a purpose, planned once. It looks for rows of now: a partition that is being detached
        has none, whatever the transaction's snapshot sees."""
        if not self._txn.undetached:
            return self._planned(key, purpose)
        with self._txn.of_now():
            return self._planned(key, purpose)

    def _planned(self, key: ForeignKeyDesc, purpose: str) -> Statement:
        session = self._session
        kept = session.space.referential
        known = kept.get((key.oid, purpose))
        if known is not None and prepare.is_ready(session, known):
            return known
        text, types = texts.statement_text(session.engine.catalog.view(session), key, purpose)
        session.bypasses_policies = True
        try:
            made, _ = prepare.compile_statement(session, parse(text)[0], text, list(types))
        finally:
            session.bypasses_policies = False
        if made.shareable:
            bounded_put(kept, (key.oid, purpose), made, PLANS_KEPT)
        return made


def missing_key(
    session: SessionState, relation: RelationDesc, referenced: RelationDesc, key: ForeignKeyDesc, values: Params
) -> SqlError:
    """The error for a referencing row without a referenced one."""
    return ForeignKeyViolation(
        f'insert or update on table "{relation.name}" violates foreign key constraint "{key.name}"',
        detail=_detail(session, relation, key.columns, values, f'is not present in table "{referenced.name}".'),
        schema=relation.schema, table=relation.name, constraint=key.name,
    )  # fmt: skip


def still_referenced(
    session: SessionState, part: RelationDesc, table: RelationDesc, key: ForeignKeyDesc, values: Params
) -> SqlError:
    """The error for a partition that is to leave, of which some row is referenced."""
    what = f'is still referenced from table "{table.name}".'
    return ForeignKeyViolation(
        f'removing partition "{part.name}" violates foreign key constraint "{key.name}"',
        detail=_detail(session, part, key.referenced_columns, values, what),
        schema=table.schema, table=table.name, constraint=key.name,
    )  # fmt: skip


def _detail(session: SessionState, relation: RelationDesc, columns: Sequence[int], values: Params, what: str) -> str:
    """``Key (a)=(1) …``; without the values where the user may not read them."""
    readable = session.catalog_function("readable_columns", relation.oid)
    if readable is not None and not set(columns) <= set(readable):
        return f"Key {what}"
    described = [relation.columns[attno - 1] for attno in columns]
    shown = [
        "null" if value is None else session.type_of(column.type).output(value, session.env)
        for column, value in zip(described, values, strict=True)
    ]
    return f"Key ({', '.join(column.name for column in described)})=({', '.join(shown)}) {what}"

"""A database small enough for tests of the wire and the session: constants, parameters, a counter table, a log with a
VDL."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from pglast import ast

import compute_node.types  # noqa: F401 - fills the registry
from aurora.errors import DivisionByZero, InvalidCatalogName, UndefinedObject, UndefinedTable, UniqueViolation
from compute_node.hub import HUB, Waiter
from compute_node.session.notifications import Channels
from compute_node.sql.parse import literal_location
from compute_node.sql.plan import ResultColumn
from compute_node.txn.counts import DatabaseCounts
from compute_node.types.registry import REGISTRY
from compute_node.volume.doubt import Doubt
from compute_node.wire.server import Server, WireConfig
from compute_node.wire.startup import Role

INT4, TEXT, NUMERIC = 23, 25, 1700


class FakeVolume:
    def __init__(self) -> None:
        self.vdl = 100
        self.next_lsn = 101
        self.automatic = True
        self._waiting: list[tuple[int, Any]] = []

    def append(self) -> int:
        lsn = self.next_lsn
        self.next_lsn += 1
        if self.automatic:
            self.vdl = lsn
        return lsn

    late = False
    doubt = Doubt(float("-inf"))
    sure: list[Any] = []

    def holds_back(self, _now_s: float) -> bool:
        return self.late

    def when_sure(self, done: Any) -> None:
        self.sure.append(done)

    def when_durable(self, lsn: int, callback: Any) -> None:
        if lsn <= self.vdl:
            callback(None)
        else:
            self._waiting.append((lsn, callback))

    def advance(self) -> None:
        self.vdl = self.next_lsn - 1
        waiting, self._waiting = self._waiting, []
        for _, callback in waiting:
            callback(None)


class FakeTxns:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.log: list[str] = []

    def begin(
        self, isolation: str = "read committed", read_only: bool = False, deferrable: bool = False, session: Any = None
    ) -> Any:
        return SimpleNamespace(
            ties=None,
            serial=None,
            on_undo=lambda undo: None,
            isolation=isolation,
            deferrable=deferrable,
            read_only=read_only,
            catalog_changed=False,
            plans_alone=False,
            unusable=frozenset(),
            undetached=frozenset(),
            inserted=[],
            marks=[],
            wrote=False,
            weak_locks={None},
            oldest_lsn=0,
            own=set(),
        )

    def retire(self, txn: Any) -> bool:
        return False

    def resume(self, txn: Any) -> None:
        raise AssertionError("nothing was retired")

    def commit(self, txn: Any) -> int:
        self.log.append("commit")
        return self.engine.volume.append() if txn.wrote else 0

    def abort(self, txn: Any) -> None:
        self.log.append("abort")
        self._undo(txn, 0)

    def _undo(self, txn: Any, size: int) -> None:
        for value in txn.inserted[size:]:
            self.engine.table.remove(value)
        del txn.inserted[size:]

    def hold(self, lsn: int, owner: str, txn: Any) -> Any:
        return SimpleNamespace(release=lambda: None)

    def savepoint(self, txn: Any, name: str) -> None:
        txn.marks.append((name, len(txn.inserted)))

    def rollback_to(self, txn: Any, name: str) -> None:
        while txn.marks[-1][0] != name:
            txn.marks.pop()
        self._undo(txn, txn.marks[-1][1])

    def release(self, txn: Any, name: str) -> None:
        while txn.marks.pop()[0] != name:
            pass


class FakeExecutable:
    locks = None
    can_go_back = False

    refused = None
    sound = True

    def __init__(self, columns: Any, tag: str, function: Any, is_point: bool = True) -> None:
        self.columns, self.tag, self.is_point, self._function = columns, tag, is_point, function
        self.column_kinds = tuple(REGISTRY.types[column.type] for column in columns or ())
        self.param_kinds: tuple[Any, ...] = ()
        self.planned = SimpleNamespace(
            read_only=columns is not None,
            momentary=False,
            addressed=(),
            probes=(),
            shape="",
            values_decide=False,
            relations=frozenset(),
            plan=SimpleNamespace(total_cost=0.0),
        )

    def check_constants(self) -> None:
        pass

    def run(self, context: Any, params: tuple[Any, ...]) -> int:
        return int(self._function(context, params))

    def rows(self, context: Any, params: tuple[Any, ...]) -> Any:
        rows = self._function(context, params)
        for at in range(0, len(rows), 100):
            context.session.check_interrupts()
            yield rows[at : at + 100]

    def fetch_all(self, context: Any, params: tuple[Any, ...]) -> Any:
        return self._function(context, params)


class FakeView:
    def type(self, oid: int) -> Any:
        if oid not in REGISTRY.types:
            raise UndefinedObject(f"type with OID {oid} does not exist")
        return REGISTRY.types[oid]

    def type_name(self, oid: int) -> tuple[str, str]:
        return "pg_catalog", self.type(oid).name

    def find_type(self, schema: str | None, name: str) -> Any:
        return REGISTRY.types_by_name.get(name)


class FakeEngine:
    """Understands ``SELECT constants and $n``, ``SELECT series(n)``, ``SELECT nap(name)``, ``SELECT v FROM t``,
    ``INSERT INTO t VALUES (n)``."""

    def __init__(self) -> None:
        self.counts = DatabaseCounts()
        self.volume = FakeVolume()
        self.txns = FakeTxns(self)
        self.channels = Channels()
        self.catalog = SimpleNamespace(version=1, view=lambda session: FakeView())
        self.ddl = self
        self.in_recovery = False
        self.recovery = SimpleNamespace(listeners=set())
        self.table: list[int] = []
        self.compiled: list[str] = []
        self.naps: dict[str, Waiter] = {}
        self.copied: list[tuple[Any, ...]] = []
        self.copy_columns: list[tuple[str, Any, int]] = []

    def execute(self, session: Any, txn: Any, node: Any, source: str, types: Any, params: Any) -> str:
        self.catalog.version += 1
        txn.wrote = True
        return "CREATE TABLE"

    def lock_relations(self, session: Any, locks: Any) -> bool:
        return True

    @contextmanager
    def connecting(self, database: str, role: int, superuser: bool) -> Any:
        if database == "nowhere":
            raise InvalidCatalogName('database "nowhere" does not exist', severity="FATAL")
        yield self

    def end_session(self, session: Any) -> None:
        pass

    def snapshot(self, txn: Any) -> Any:
        return None

    def begin_statement(self, session: Any, snapshot: Any = None) -> Any:
        return SimpleNamespace(session=session, txn=session.txn, snapshot=SimpleNamespace(lsn=self.volume.vdl))

    def still_valid(self, session: Any, executable: Any) -> bool:
        return False

    def session_function(self, session: Any, name: str, *args: Any) -> Any:
        if name == "find_role":
            return {"postgres": 10, "alice": 11}.get(args[0])
        if name == "role_is_superuser":
            return args[0] == 10
        return None

    def explain(self, session: Any, statement: Any, options: Any, param_types: Any, source: str) -> Any:
        return SimpleNamespace(executable=None, lines=lambda: ["Result", f"  {sorted(options)}"])

    def copy_target(self, session: Any, txn: Any, relation: Any, columns: Any, where: Any = None) -> Any:
        if relation.relname == "nope":
            raise UndefinedTable('relation "nope" does not exist')
        txn.wrote = True
        return SimpleNamespace(
            oid=0,
            columns=self.copy_columns,
            table_columns=(),
            stored=0,
            excluded=0,
            write_rows=self.copied.extend,
            finish=lambda: len(self.copied),
        )

    def compile(
        self,
        statement: Any,
        session: Any,
        param_types: list[int],
        source: str,
        lifted: Any,
        routine: Any = None,
        values: Any = None,
    ) -> Any:
        executable, kept = self._compile(statement, session, param_types, source, lifted, routine)
        executable.param_kinds = tuple(REGISTRY.types[oid or 705] for oid in param_types)
        return executable, kept

    def _compile(
        self, statement: Any, session: Any, param_types: list[int], source: str, lifted: Any, routine: Any = None
    ) -> Any:
        node = statement.node
        self.compiled.append(source)
        if isinstance(node, ast.InsertStmt):
            value = self._expression(node.selectStmt.valuesLists[0][0], param_types, lifted)[1]

            def insert(context: Any, params: Any) -> int:
                number = value(params)
                if number in self.table:
                    raise UniqueViolation("duplicate key", constraint="t_pkey", table="t", schema="public")
                self.table.append(number)
                context.txn.inserted.append(number)
                context.txn.wrote = True
                return 1

            return FakeExecutable(None, "INSERT", insert), set()
        if node.fromClause:
            name = node.fromClause[0].relname
            if name != "t":
                raise UndefinedTable(f'relation "{name}" does not exist', position=source.find(name) + 1)
            return FakeExecutable(
                [ResultColumn("v", INT4, -1, 16384, 1)], "SELECT", lambda *_: [(v,) for v in self.table], False
            ), set()
        kept: set[int] = set()
        targets = [self._target(target, param_types, lifted, kept) for target in node.targetList or ()]
        columns = [ResultColumn(name, oid) for name, oid, _ in targets]
        if len(targets) == 1 and targets[0][0] == "series":
            return FakeExecutable(columns, "SELECT", lambda c, p: [(i,) for i in range(targets[0][2](p))], False), kept
        return FakeExecutable(columns, "SELECT", lambda c, p: [tuple(f(p) for _, _, f in targets)]), kept

    def _target(self, target: Any, types: list[int], lifted: Any, kept: set[int]) -> Any:
        value = target.val
        if isinstance(value, ast.FuncCall):
            name = value.funcname[-1].sval
            if not value.args:
                return name, TEXT, lambda p: None
            argument = value.args[0]
            if name == "pinned":
                kept.add(literal_location(argument))
                constant = argument.val.ival
                return name, INT4, lambda p: constant
            inner = self._expression(argument, types, lifted)[1]
            if name == "nap":

                def nap(params: Any) -> str:
                    self.naps[inner(params)] = waiter = Waiter()
                    return str(HUB.wait(waiter))

                return name, TEXT, nap
            if name == "reciprocal":

                def reciprocal(params: Any) -> Decimal:
                    if not inner(params):
                        raise DivisionByZero("division by zero")
                    return Decimal(1) / inner(params)

                return name, NUMERIC, reciprocal
            return name, INT4, inner
        oid, function = self._expression(value, types, lifted)
        return target.name or "?column?", oid, function

    def _expression(self, node: Any, types: list[int], lifted: Any) -> Any:
        if isinstance(node, ast.TypeCast):
            oid = {"int4": INT4, "text": TEXT, "numeric": NUMERIC}[node.typeName.names[-1].sval]
            if isinstance(node.arg, ast.ParamRef):
                self._set(types, node.arg.number, oid)
            return oid, self._expression(node.arg, types, lifted)[1]
        if isinstance(node, ast.ParamRef):
            self._set(types, node.number, types[node.number - 1] if node.number <= len(types) else INT4)
            return types[node.number - 1], lambda p: p[node.number - 1]
        value = node.val
        constant: Any
        if isinstance(value, ast.Integer):
            oid, constant = INT4, value.ival
        elif isinstance(value, ast.Float):
            oid, constant = NUMERIC, Decimal(value.fval)
        else:
            oid, constant = TEXT, value.sval
        slot = lifted.get(literal_location(node))
        if slot:
            self._set(types, slot, oid)
            return oid, lambda p: p[slot - 1]
        return oid, lambda p: constant

    @staticmethod
    def _set(types: list[int], number: int, oid: int) -> None:
        while len(types) < number:
            types.append(0)
        if not types[number - 1]:
            types[number - 1] = oid


class FakeRoles:
    def __init__(self, **verifiers: str | None) -> None:
        self.roles = {name: Role(text, name == "postgres", True) for name, text in verifiers.items()}
        self.roles.setdefault("postgres", Role(None, True, True))
        self.groups: dict[str, tuple[str, ...]] = {}

    def lookup(self, user: str) -> Role | None:
        return self.roles.get(user)

    def is_member(self, user: str, role: str) -> bool:
        return role in self.groups.get(user, ())


CLIENTS: list[Callable[[], Awaitable[Any]]] = []
"""How to close the clients of the running test."""


def fake_clock() -> int:
    return 800_000_000_000_000


def serve(test: Any, config: WireConfig | None = None, roles: FakeRoles | None = None, client: Any = None) -> Any:
    """Run ``await test(server, engine)`` against a server on a free port."""

    async def body() -> Any:
        HUB.bind(asyncio.get_running_loop())
        engine = FakeEngine()
        server = Server(engine, roles or FakeRoles(), config or WireConfig(port=0), fake_clock)
        await server.start()
        try:
            return await asyncio.wait_for(test(server, engine), 15)
        finally:
            for close in CLIENTS:
                await close()
            CLIENTS.clear()
            await server.shutdown(1.0)

    return asyncio.run(body())


def tags(data: bytes) -> str:
    """The message types of a byte string, in order."""
    found, at = "", 0
    while at < len(data):
        found += chr(data[at])
        at += 1 + int.from_bytes(data[at + 1 : at + 5], "big")
    return found


def fields(data: bytes, kind: str = "E") -> dict[str, str]:
    """The fields of the first error or notice in ``data``."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at + 1 : at + 5], "big")
        if chr(data[at]) == kind:
            return dict(re.findall(r"([A-Za-z])([^\0]*)\0", data[at + 5 : at + 1 + length].decode()))
        at += 1 + length
    return {}

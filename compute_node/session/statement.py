"""``Statement``: one statement, ready to run in any session that plans alike.

It holds what stays the same from run to run: what runs (an executable, or the parse tree of a utility statement) and
what the wire, the transaction and the plan cache must know of it. Who runs it, with which values and where its rows
go is the door's matter (``door``). Invariant: but for ``version`` and ``role_generation``, which say under what it was
last found valid, the table of formats, and its plans for values of its parameters, nothing of it ever changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import TYPE_CHECKING

from pglast import ast

from aurora.datum import Datum, Row
from compute_node.exec.executable import Executable
from compute_node.protocol.messages import Column, completions
from compute_node.session.plan_choice import Family, PlanChoice
from compute_node.session.results import ResultFormat, parameter_codes
from compute_node.txn.locks import WeakLocks
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext
    from compute_node.session.state import SessionState

"""the values of $1 …"""
FORMATS_KEPT = 8
OUTDATED = -1
"""the version of a statement whose plan was made under settings that are no longer the session's"""

Params = Row
"""The values of a statement's parameters"""


def _described(name: str, kind: PgType, typmod: int, table: int, column: int) -> Column:
    """A result column as the client is told of it: a domain is shown as what it is over."""
    if kind.base is not None:
        return Column(name, kind.root, kind.base_typmod, table, column)
    return Column(name, kind, typmod, table, column)


def described(executable: Executable) -> tuple[Column, ...]:
    """The result columns of a query."""
    return tuple(
        _described(column.name, kind, column.typmod, column.table, column.column)
        for column, kind in zip(executable.columns or (), executable.column_kinds, strict=True)
    )


class Tally:
    """How many statements of one kind have begun in one database."""

    __slots__ = ("runs",)

    def __init__(self) -> None:
        self.runs = 0


_UNCOUNTED = Tally()


class Statement:
    """A query (``executable``) or a utility statement (``node``).

    ``columns`` is None when it gives no rows (of a utility statement: see ``utility.columns_of``). ``fast`` is set for
    plain BEGIN, COMMIT and ROLLBACK and runs them. ``kinds`` are the parameters' types, ``codes`` the kernel's
    codes. ``locks`` are the relation locks that a transaction must hold before the statement's snapshot is taken.
    ``shareable``: other statements of the same text may use it. ``point``: the one generated function that is the whole
    statement (``exec.point``), or for one without a result what counts its rows; None for all others.
    """

    __slots__ = (
        "_choice", "codes", "columns", "completions", "executable", "family", "fast", "formats", "has_custom",
        "is_forwarded", "is_point", "kinds", "locks", "node", "param_types", "point", "shareable", "source", "span",
        "tag", "tally", "version", "writes",
    )  # fmt: skip

    executable: Executable
    """of a query; a utility statement has none"""
    locks: WeakLocks

    def __init__(
        self,
        source: str,
        version: int,
        param_types: Sequence[int] = (),
        executable: Executable | None = None,
        node: ast.Node | None = None,
        fast: Callable[[SessionState], bytes] | None = None,
        shareable: bool = True,
        kinds: Sequence[PgType] = (),
    ) -> None:
        self.source = source
        self.version = version
        self.param_types = tuple(param_types)
        self.kinds = tuple(kinds if executable is None else executable.param_kinds)
        self.codes = parameter_codes(self.kinds)
        self.node = node
        self.fast = fast
        self.formats: dict[bytes, ResultFormat] = {}
        self.tag: str = ""
        self.completions: Sequence[bytes] = ()
        """CommandComplete of its first row counts"""
        self.tally = _UNCOUNTED
        self.is_point = self.writes = self.is_forwarded = False
        self.has_custom = False
        """whether a plan for values of its parameters may be another one"""
        self.family: Family[Statement] | None = None
        """its plans for values of its parameters (``plan_choice``)"""
        self._choice: PlanChoice | None = None
        self.span: tuple[int, int] | None = None
        """where in ``source`` it is (offset and length in characters); None: its literals are parameters"""
        self.shareable = shareable
        self.columns: tuple[Column, ...] | None = None
        self.point: Callable[[ExecContext, Params], Datum] | None = None
        if executable is not None:
            self.executable = executable
            self.tag = executable.tag
            self.completions = completions(self.tag)
            self.is_point = bool(executable.is_point)
            self.locks = executable.locks
            self.writes = not executable.planned.read_only
            self.shareable = shareable and not executable.planned.momentary
            planned = executable.planned
            self.has_custom = bool(self.param_types) and (planned.values_decide or bool(planned.probes))
            if executable.columns is None:
                self.point = executable.run if executable.sound else None
            else:
                self.columns = described(executable)
                self.point = executable.fetch_all if self.is_point and executable.sound else None

    @property
    def choice(self) -> PlanChoice:
        """What its unnamed prepared statements know of its plans."""
        if self._choice is None:
            self._choice = PlanChoice()
        return self._choice

    def format_for(self, raw_formats: bytes) -> ResultFormat:
        """The result format for Bind's raw format codes."""
        found = self.formats.get(raw_formats)
        if found is None:
            found = ResultFormat(self.columns or (), raw_formats)
            if len(self.formats) < FORMATS_KEPT:
                self.formats[raw_formats] = found
        return found

    def validate(self, session: SessionState) -> bool:
        """Whether its plan may run, as this session sees the catalog now.

        The yes is an integer: ``Catalog.version`` moves with every committed change of the catalog, of roles and of
        privileges. Behind it, what the plan was told of each object that it names is asked again, and the privileges
        that it needs with it (``Engine.still_valid``): whatever forces statements to be looked at again (a change of
        roles, of policies) only has to move that version. A transaction that has changed the catalog asks each time.
        """
        if self.node is not None:
            return True
        private = session.txn is not None and session.txn.plans_alone
        version = session.engine.catalog.version
        if self.version == version and not private:
            return True
        if private and self.shareable and session.txn is not None and (session.txn.unusable or session.txn.undetached):
            return False
        if self.version == OUTDATED or not session.engine.still_valid(session, self.executable):
            return False
        if self.shareable and not private:
            # Asking may have waited, and the catalog moved on meanwhile: then it is asked again next time.
            self.version = version
        return True

    def outdated(self) -> Statement:
        """The same statement as one to be planned again before it runs; a utility statement as it is."""
        if self.node is not None:
            return self
        old = copy(self)
        old.version = OUTDATED
        return old

    def same_result(self, other: Statement) -> bool:
        """Whether two plans of a statement promise the client the same columns."""
        mine, theirs = self.columns, other.columns
        if mine is None or theirs is None:
            return mine is theirs
        return [(c.name, c.type_oid, c.typmod) for c in mine] == [(c.name, c.type_oid, c.typmod) for c in theirs]

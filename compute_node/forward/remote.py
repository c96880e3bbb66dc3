"""The statement that stands for one that the writer runs: to the door and to portals it looks like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

from aurora.datum import Row
from compute_node.session.statement import Params, Statement
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext

Run = Callable[["RemoteStatement", Params], Iterator[list[Row]]]
"""Runs it and gives its rows, batch by batch; ``count`` is set at the end."""


class RemoteStatement:
    """In place of an ``Executable``. ``text`` goes to the writer; ``offset`` is where it begins in the client's.
    ``columns``: the types of its result, None without one; ``simple``: as a Query message, literals and all."""

    is_point = False
    sound = True

    def __init__(
        self,
        run: Run,
        statement: Statement,
        text: str,
        offset: int = 0,
        columns: Sequence[PgType] | None = None,
        simple: bool = False,
    ) -> None:
        self._run = run
        self.planned = statement.executable.planned
        self.can_go_back = False
        self.text = text
        self.offset = offset
        self.kinds = statement.kinds
        self.columns = columns
        self.checked = statement.columns is not None
        """whether the writer's columns have to be of these types"""
        self.simple = simple
        self.count = 0

    def run(self, _context: ExecContext, params: Params) -> int:
        """Run it; how many rows it affected."""
        for _ in self._run(self, params):
            pass
        return self.count

    def rows(self, _context: ExecContext, params: Params) -> Iterator[list[Row]]:
        """Run it; its rows."""
        return self._run(self, params)


def standing_for(statement: Statement, remote: RemoteStatement) -> Statement:
    """The statement whose executable is the remote one."""
    made = copy(statement)
    executable: Any = remote  # the door asks no more of it than there is
    made.executable = executable
    made.is_point, made.point, made.is_forwarded = False, None, True
    return made

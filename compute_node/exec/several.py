"""A statement that rules have made several queries of, or none: they run one after the other, each sees what those
before it have changed (PostgreSQL manual, ch. 41.4).

The count and the rows that the client gets are those of the main one. A SELECT among the others gives its rows to
whoever asks for them (``run_showing``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aurora.datum import Row
from compute_node.exec.context import ExecContext
from compute_node.exec.executable import Executable, Params, build
from compute_node.exec.nodes.base import Batch
from compute_node.exec.statement_locks import statement_locks
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.plan import PlannedStmt

Show = Callable[[Executable, Iterator[Batch]], None]
"""Takes the rows of a query that is not the main one"""


class SeveralQueries(Executable):
    """See ``Executable``."""

    __slots__ = ("run_showing", "steps")

    def __init__(self, planned: PlannedStmt, catalog: CatalogView, steps: tuple[Executable, ...] | None = None) -> None:
        self.planned = planned
        self.steps = tuple([build(step, catalog) for step in planned.steps]) if steps is None else steps
        self.locks = statement_locks(planned, catalog)
        self.columns = planned.columns
        self.column_kinds = tuple([catalog.type(column.type) for column in planned.columns or ()])
        self.param_kinds = ()
        self.tag = planned.command.upper()
        self.told = None
        self.refused = None
        self.sound = all(step.sound for step in self.steps)
        self.is_point = False
        self.run = self._run_all
        self.rows = self._rows
        self.fetch_all = self._fetch_rows
        self.run_showing: Callable[[ExecContext, Params, Show], int] = self._run_showing

    @property
    def can_go_back(self) -> bool:
        """See ``Executable``."""
        return False

    @property
    def scans_only(self) -> bool:
        """See ``Executable``."""
        return False

    def check(self) -> None:
        """See ``Executable``."""
        if self.refused is not None:
            self.refused()
        self.check_constants()

    def check_constants(self) -> None:
        """See ``Executable``."""
        for step in self.steps:
            step.check_constants()

    def _rows(self, ctx: ExecContext, params: Params) -> Iterator[Batch]:
        """The main query's rows, when all queries have run."""
        store = ctx.tuplestore()
        try:
            self._run_steps(ctx, params, store.append, None)
            yield from store.batches()
        finally:
            ctx.finish()

    def _run_showing(self, ctx: ExecContext, params: Params, show: Show) -> int:
        """Run all; the rows of the queries beside the main one go to ``show``."""
        return self._run_steps(ctx, params, None, show)

    def _run_all(self, ctx: ExecContext, params: Params) -> int:
        return self._run_steps(ctx, params, None, None)

    def _fetch_rows(self, ctx: ExecContext, params: Params) -> Batch:
        found: Batch = []
        self._run_steps(ctx, params, found.extend, None)
        return found

    def _run_steps(
        self, ctx: ExecContext, params: Params, keep: Callable[[list[Row]], object] | None, show: Show | None
    ) -> int:
        count = 0
        for at, step in enumerate(self.steps):
            ctx.check()
            inner = ctx.next_query(at == 0)
            is_main = at == self.planned.main

            def changed(step: Executable = step, inner: ExecContext = inner, is_main: bool = is_main) -> int:
                if step.columns is None:
                    return int(step.run(inner, params))
                rows = step.rows(inner, params)
                if is_main and keep is not None:
                    for batch in rows:
                        keep(batch)
                elif show is not None and not is_main:
                    show(step, rows)
                else:
                    return sum(len(batch) for batch in rows)
                return 0

            found = self.run_step(at, changed)
            if is_main:
                count = found
        return count

    def run_step(self, at: int, run: Callable[[], int]) -> int:
        """Run one of the queries; how many rows it has changed."""
        return run()


def executable_of(planned: PlannedStmt, catalog: CatalogView, param_types: list[int]) -> Executable:
    """What runs a statement, of one query or of several. As ``build``."""
    if not planned.shape:
        return build(planned, catalog, param_types)
    made = SeveralQueries(planned, catalog)
    made.take_parameters(catalog, param_types)
    return made

"""What SQL functions see of the session that runs them: ``types.registry.SessionView`` over ``SessionState``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from compute_node.relations.descriptors import RelationDesc
from compute_node.session import current_rows, nested, referential, routines, setting_statements
from compute_node.session.state import SessionState
from compute_node.types.registry import RoutineCall, SqlResult

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot


class FunctionView(SessionState):
    """See ``types.registry.SessionView``."""

    __slots__ = ()

    def get_setting(self, name: str, missing_ok: bool) -> str | None:
        """current_setting."""
        return setting_statements.show(self, name, missing_ok)

    def set_setting(self, name: str, value: str | None, is_local: bool) -> str:
        """set_config."""
        setting_statements.assign(self, name, value, is_local)
        return setting_statements.show(self, name, False) or ""

    def search_path_schemas(self, include_implicit: bool) -> list[str]:
        """current_schemas."""
        found: list[str] = self.catalog_function("search_path_schemas", include_implicit)
        return found

    def current_xid(self, assign: bool) -> int | None:
        """The transaction's xid."""
        found: int | None = self.catalog_function("current_xid", assign)
        return found

    def run_sql(self, text: str, params: Row, types: tuple[int, ...], snapshot: Snapshot | None) -> SqlResult:
        """Statements of a function; see ``nested``."""
        return nested.run(self, text, params, types, snapshot)

    def describe_sql(self, text: str, snapshot: Snapshot | None) -> SqlResult:
        """The columns that a query would give a function; see ``nested``."""
        return nested.describe(self, text, snapshot)

    def read_sql(self, text: str, params: Row, types: tuple[int, ...], snapshot: Snapshot | None) -> Iterator[Row]:
        """A query of a function, row by row; see ``nested``."""
        return nested.open_rows(self, text, params, types, snapshot)

    def cursor_row(self, name: str, relation: RelationDesc) -> int | None:
        """See ``current_rows``."""
        return current_rows.row_of(self, name, relation)

    def follow_changes(self) -> None:
        """What foreign keys want of a statement's changes; see ``referential``."""
        referential.fire(self)

    def call_routine(self, call: RoutineCall, arguments: Row, snapshot: Snapshot | None) -> Datum:
        """A function in the language SQL; see ``routines``."""
        return routines.call(self, call, arguments, snapshot)

    def signal_backend(self, pid: int, terminate: bool) -> bool:
        """pg_cancel_backend and pg_terminate_backend; of the session itself they end the statement that asked."""
        return bool(self.catalog_function("signal_backend", pid, terminate))

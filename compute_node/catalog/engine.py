"""What the catalog's code asks of the database that it serves: the contract, as a protocol.

``compute_node.engine.Engine`` is one. A session knows less of it (``session/engine.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from compute_node.access.storage import Storage
from compute_node.exec.row_expressions import RowExpressions
from compute_node.session.engine import Engine

if TYPE_CHECKING:
    from compute_node.catalog.cache import Catalog
    from compute_node.catalog.databases import Databases
    from compute_node.catalog.ddl import Ddl
    from compute_node.catalog.ddl.sequence import Sequences
    from compute_node.replica.topology import TopologySource


class DatabaseEngine(Engine, Protocol):
    """One database of an instance."""

    databases: Databases
    """all of them"""
    start_time_us: int
    topology: TopologySource
    """the instances of the cluster"""

    @property
    def storage(self) -> Storage:
        """The pages of the volume."""

    @property
    def catalog(self) -> Catalog:
        """Its catalog."""

    @property
    def ddl(self) -> Ddl:
        """What changes the catalog."""

    @property
    def sequences(self) -> Sequences:
        """Its sequences."""

    @property
    def row_expressions(self) -> RowExpressions:
        """Functions of rows: index expressions, predicates."""

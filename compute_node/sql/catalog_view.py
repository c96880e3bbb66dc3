"""What analysis, planning and execution ask of the catalog: everything that SQL can name.

Built-in declarations are the first source of an answer, users' rows the second; nobody above ``types`` asks the
declarations themselves. An answer is the same object as long as what it describes is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from compute_node.relations.column_statistics import ColumnStatistics
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.extended_statistics import ExtendedStatistics
from compute_node.types.collation import Collation
from compute_node.types.registry import Aggregate, Cast, Function, Operator, OperatorClass, PgType


class CatalogView(Protocol):
    """A consistent view of the catalog for one session. ``version`` changes with every committed catalog change and
    names what plans depend on; ``search_path`` is the effective list of schemas (pg_catalog included)."""

    version: int
    search_path: tuple[str, ...]
    unusable: frozenset[int]
    """OIDs of indexes that the session's snapshot is too old for"""

    @property
    def reads_stored_text(self) -> bool:
        """Whether this is the view of ``of_stored_text``."""

    def of_stored_text(self) -> CatalogView:
        """The same view for SQL text that the catalog stores (views, defaults, checks): the schemas that it names were
        allowed to whoever stored it."""

    def of_view(self) -> CatalogView:
        """``of_stored_text`` for a view that a query reads."""

    def find_relation(self, schema: str | None, name: str) -> RelationDesc | None:
        """By name, along the search path without a schema; raises 3F000 for an unknown schema."""

    def relation(self, oid: int) -> RelationDesc | None:
        """By OID."""

    def with_detaching(self, desc: RelationDesc) -> RelationDesc:
        """A partitioned table with the partition that is being detached from it."""

    def find_type(self, schema: str | None, name: str) -> PgType | None:
        """By PostgreSQL's internal name (int4, not integer)."""

    def type(self, oid: int) -> PgType:
        """By OID; raises 42704 for an unknown one."""

    def type_name(self, oid: int) -> tuple[str, str]:
        """Schema and internal name of a type; raises 42704 for an unknown one."""

    def namespace_name(self, oid: int) -> str:
        """A schema's name; empty for an unknown OID."""

    def type_is_visible(self, oid: int) -> bool:
        """Whether its bare name finds it."""

    def functions(self, schema: str | None, name: str) -> Sequence[Function]:
        """All of that name that the search path reaches; of equal signatures the first on the path."""

    def function(self, oid: int) -> Function:
        """By OID."""

    def aggregate(self, oid: int) -> Aggregate | None:
        """How aggregate ``oid`` runs; None for a plain function."""

    def operators(self, schema: str | None, name: str) -> Sequence[Operator]:
        """All of that name that the search path reaches; of equal signatures the first on the path."""

    def operator(self, oid: int) -> Operator:
        """By OID."""

    def estimators(self, oid: int) -> tuple[int, int]:
        """The functions that estimate an operator's selectivity, as a restriction and as a join (pg_operator.oprrest
        and oprjoin); 0 for none."""

    def hash_functions(self, oid: int) -> tuple[int, int] | None:
        """The functions that hash the operands of a user's operator as its hash operator family does; None without."""

    def sort_operator(self, oid: int) -> int:
        """The operator by which an aggregate takes the first value, as min() does by ``<`` (pg_aggregate.aggsortop); 0
        for other aggregates."""

    def blocks(self, relation: RelationDesc) -> int:
        """How long a table is now, in pages."""

    def may_read(self, relation: RelationDesc, attno: int) -> bool:
        """Whether the user may read a column by rights of their own, and so see what operators make of its values."""

    def policies_hold(self, relation: RelationDesc, role: int) -> bool:
        """Whether a table's policies restrict what a role sees of it."""

    def has_role(self, role: int, other: int) -> bool:
        """Whether a role has the privileges of another."""

    def owns(self, relation: RelationDesc, role: int) -> bool:
        """Whether a role has the privileges of a relation's owner."""

    def is_leakproof(self, function: int) -> bool:
        """Whether a function tells nothing of its arguments but by its result (pg_proc.proleakproof)."""

    def column_statistics(self, relation: int, attno: int, tree: bool = False) -> ColumnStatistics | None:
        """What ANALYZE has found about a column (of an index: about an expression); ``tree``: of the rows of the
        table and of all that inherit from it."""

    def extended_statistics(self, relation: int, tree: bool = False) -> tuple[ExtendedStatistics, ...]:
        """What ANALYZE has found about several columns together, in the order of the statistics objects' OIDs."""

    def cast(self, source: int, target: int) -> Cast | None:
        """The pg_cast row."""

    def operator_strategy(self, family: int, operator: int) -> int:
        """The operator's strategy in an operator family; 0 when it is not a member."""

    def ordering_strategy(self, family: int, operator: int) -> int:
        """The strategy of an operator by whose value a family orders rows; 0 when it is none."""

    def family_operator(self, family: int, left: int, right: int, strategy: int) -> int:
        """The operator of a family for two types and a strategy; 0 without one."""

    def rely_on_key(self, constraint: int) -> None:
        """What is analyzed holds as long as the primary key with this constraint (OID) is there."""

    def default_operator_class(self, type_oid: int, method: int = 403) -> OperatorClass | None:
        """The default operator class for a type (binary-coercible types too: varchar → text_ops)."""

    def operator_classes(self, method: int) -> Sequence[OperatorClass]:
        """All of an access method."""

    def operator_class(self, oid: int) -> OperatorClass | None:
        """By OID."""

    def find_operator_class(self, schema: str | None, name: str, method: int) -> OperatorClass | None:
        """By name, along the search path without a schema."""

    def collation(self, oid: int) -> Collation | None:
        """By OID."""

    def find_collation(self, schema: str | None, name: str) -> Collation | None:
        """By name, along the search path without a schema; raises 3F000 for an unknown schema."""

    def access_method(self, name: str) -> int | None:
        """An access method's OID."""

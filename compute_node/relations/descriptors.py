"""What the rest of compute sees of a relation: immutable descriptors, replaced as a whole when the catalog changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aurora.datum import Datum
from aurora.ids import Oid, RelFile
from compute_node.relations.foreign import ForeignDesc
from compute_node.relations.partitions import PartitionBound, PartitionKey
from compute_node.types.acl import Acl
from compute_node.types.registry import PgType


@dataclass(frozen=True, slots=True)
class ColumnDesc:
    """One row of pg_attribute. ``default`` is the stored default's SQL text, None without one; ``missing`` is the
    value of
    the column in rows that were written before ADD COLUMN."""

    attno: int
    name: str
    type: int
    typmod: int
    not_null: bool
    dropped: bool = False
    has_default: bool = False
    default: str | None = None
    missing: Datum = None
    has_missing: bool = False
    identity: str = ""
    generated: str = ""
    collation: int = 0
    storage: str = ""
    """p, e, x or m as pg_attribute.attstorage; empty: the type's"""
    compression: str = ""
    """p pglz, l lz4; empty: default_toast_compression"""
    acl: Acl | None = None


class Excluded(NamedTuple):
    """Of one column of an exclusion constraint: the operator, and its strategy in the column's operator class."""

    operator: int
    strategy: int


@dataclass(frozen=True, slots=True)
class IndexDesc:
    """One row of pg_index. ``columns`` are attnos, 0 for an expression (SQL text in ``expressions``, in order)."""

    oid: Oid
    relfile: RelFile
    name: str
    columns: tuple[int, ...]
    unique: bool
    primary: bool
    pages: int = 0
    """as of the last VACUUM or ANALYZE"""
    valid: bool = True
    """queries may use it"""
    ready: bool = True
    """new rows are entered"""
    live: bool = True
    """it has a say in which updates may stay on their page; not so of one that is about to be dropped"""
    descending: tuple[bool, ...] = ()
    nulls_first: tuple[bool, ...] = ()
    key_types: tuple[int, ...] = ()
    operator_classes: tuple[int, ...] = ()
    collations: tuple[int, ...] = ()
    included: tuple[int, ...] = ()
    expressions: tuple[str, ...] = ()
    predicate: str | None = None
    nulls_not_distinct: bool = False
    constraint: int = 0
    method: str = "btree"
    exclusion: tuple[Excluded, ...] = ()
    """of each key column of an exclusion constraint's index"""
    codes: tuple[int, ...] = ()
    """of each key column: the built-in operator class whose support functions its operator class has"""
    options: tuple[str, ...] = ()
    """storage parameters, ``name=value``"""
    class_options: tuple[tuple[str, ...], ...] = ()
    """parameters of each key column's operator class"""
    immediate: bool = True
    """its key is unique at every moment; else at the end of the statement, or of the transaction"""
    deferred: bool = False
    """of one that is not: checked at the commit unless SET CONSTRAINTS says otherwise"""


@dataclass(frozen=True, slots=True)
class ForeignKeyDesc:
    """One row of pg_constraint of contype f. Columns are attnos, in the key's order; actions as ``confupdtype`` writes
    them: a no action, r restrict, c cascade, n set null, d set default. The operators compare (referenced,
    referencing), (referenced, referenced) and (referencing, referencing) values."""

    oid: Oid
    name: str
    table: int
    """OID of the referencing table"""
    columns: tuple[int, ...]
    referenced: int
    """OID of the referenced table"""
    referenced_columns: tuple[int, ...]
    index: int
    """of the referenced key"""
    match_full: bool
    on_update: str
    on_delete: str
    set_columns: tuple[int, ...]
    """those that ON DELETE SET NULL or SET DEFAULT sets; empty: all of the key"""
    deferrable: bool
    deferred: bool
    validated: bool
    operators: tuple[int, ...]
    referenced_operators: tuple[int, ...]
    referencing_operators: tuple[int, ...]
    parent: int = 0
    """OID of the constraint that this one is a part of, for a partition of one of the tables"""


@dataclass(frozen=True, slots=True)
class PolicyDesc:
    """One row of pg_policy. ``command``: r, a, w, d or *; ``roles``: OIDs, 0 for everybody; ``using`` and ``check``
    are SQL over the table's columns."""

    name: str
    command: str
    permissive: bool
    roles: tuple[int, ...]
    using: str | None
    check: str | None


NO_QUALIFICATION: Final = "<>"
"""pg_rewrite.ev_qual of a rule without a condition"""


@dataclass(frozen=True, slots=True)
class RuleDesc:
    """A row of pg_rewrite that is no view's query. ``event``: ev_type, 2 update, 3 insert, 4 delete; ``enabled``: O, D,
    R or A. ``qualification`` and ``actions`` are SQL over OLD and NEW: statements ended by ``;``, none for NOTHING."""

    name: str
    event: str
    enabled: str
    instead: bool
    qualification: str | None
    actions: str


RELATION_NOUNS = {
    "r": "table", "p": "table", "i": "index", "I": "index", "S": "sequence", "t": "toast table", "v": "view",
    "m": "materialized view", "c": "composite type", "f": "foreign table",
}  # fmt: skip
"""pg_class.relkind in words"""


@dataclass(frozen=True, slots=True, eq=False)
class RelationDesc:
    """A table, index, view …: ``kind`` as pg_class.relkind. ``rows`` and ``pages`` are the statistics (-1 rows
    unknown).
    ``view_sql`` is a view's stored SELECT."""

    oid: Oid
    relfile: RelFile
    name: str
    schema: str
    namespace: int
    kind: str
    columns: tuple[ColumnDesc, ...]
    indexes: tuple[IndexDesc, ...] = ()
    rows: float = -1.0
    pages: int = 0
    owner: int = 10
    row_type: int = 0
    persistence: str = "p"
    checks: tuple[tuple[str, str], ...] = ()
    unproven: frozenset[str] = frozenset()
    """the names of those that rows that are there may break (NOT VALID)"""
    view_sql: str | None = None
    is_shared: bool = False
    populated: bool = True
    """a materialized view's: whether it has the rows of its query"""
    fillfactor: int = 100
    options: tuple[str, ...] = ()
    toast: RelationDesc | None = None
    """where its values out of line are"""
    acl: Acl | None = None
    """who may do what; None is the default (``types/acl.acl_default``)"""
    database: int = 5
    """OID of the database that it belongs to, 0 for a shared catalog"""
    types: Mapping[int, PgType] = field(default_factory=dict)
    """the types of its columns that are no built-in ones, by OID"""
    foreign_keys: tuple[ForeignKeyDesc, ...] = ()
    """its own, in the order in which they are checked"""
    referenced_by: tuple[ForeignKeyDesc, ...] = ()
    """those that name its keys"""
    parents: tuple[int, ...] = ()
    """OIDs of the tables that it inherits from, or the one that it is a partition of, in the order of inhseqno"""
    children: tuple[int, ...] = ()
    """OIDs of the tables that inherit from it directly, in their own order"""
    detaching: int = 0
    """OID of the partition that is being detached CONCURRENTLY, which is not among ``children``; 0 without one"""
    row_security: bool = False
    """whether ``policies`` restrict which rows its users see and write"""
    force_row_security: bool = False
    """also its owner"""
    policies: tuple[PolicyDesc, ...] = ()
    rules: tuple[RuleDesc, ...] = ()
    """what INSERT, UPDATE and DELETE become, by name; not a view's query"""
    partition_key: PartitionKey | None = None
    """of a partitioned table (kind p): how it divides its rows"""
    bound: PartitionBound | None = None
    """of a partition: the rows of its parent that it takes"""
    foreign: ForeignDesc | None = None
    """of a foreign table (kind f): what stands behind it"""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        """What it is, in words."""
        return RELATION_NOUNS.get(self.kind, "relation")

    @property
    def is_partition(self) -> bool:
        """Whether it is a part of a partitioned table."""
        return self.bound is not None

    @property
    def is_watched(self) -> bool:
        """Whether a change of its rows has something to follow it: the checks and actions of foreign keys, or of
        unique constraints that can be deferred."""
        return bool(self.foreign_keys or self.referenced_by) or not all(index.immediate for index in self.indexes)

    @property
    def is_partitioned(self) -> bool:
        """Whether it has no rows of its own: all are its partitions'."""
        return self.kind == "p"

    @property
    def has_rows_here(self) -> bool:
        """Whether what it has of rows is stored: those of a partitioned table are its partitions', those of a foreign
        one its wrapper's."""
        return self.kind not in "pf"

    def column(self, name: str) -> ColumnDesc | None:
        """The live column of that name."""
        for item in self.columns:
            if item.name == name and not item.dropped:
                return item
        return None

    @property
    def lock_id(self) -> int:
        """What it is called in the lock table: its OID alone is not its own in every database."""
        return self.database << 32 | self.oid

    def type_lookup(self, builtin: Callable[[int], PgType]) -> Callable[[int], PgType]:
        """The type of an OID, as this relation's columns have it; ``builtin`` knows the others."""
        types = self.types
        return builtin if not types else lambda oid: types.get(oid) or builtin(oid)

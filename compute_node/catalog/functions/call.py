"""What a catalog function sees: engine, session, and the catalog as the session sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation
from compute_node.catalog.layer import CatalogLayer
from compute_node.catalog.rows import CatalogReader
from compute_node.catalog.view import CatalogView
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.typenames import format_type

if TYPE_CHECKING:
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.session.state import SessionState
    from compute_node.txn.transaction import Txn


class Call:
    """One call. ``session`` is None for what the server asks by itself."""

    __slots__ = ("_session", "_view", "engine")

    def __init__(self, engine: DatabaseEngine, session: SessionState | None) -> None:
        self.engine = engine
        self._session = session
        self._view: CatalogView | None = None

    @property
    def session(self) -> SessionState:
        """The session that calls."""
        if self._session is None:
            raise InvariantViolation("a catalog function that needs a session was called without one")
        return self._session

    @property
    def txn(self) -> Txn:
        """Its transaction."""
        txn = self.session.txn
        if txn is None:
            raise InvariantViolation("a catalog function was called outside a transaction")
        return txn

    @property
    def layer(self) -> CatalogLayer:
        """The catalog as the session sees it, or as it is committed now."""
        catalog = self.engine.catalog
        return catalog.shared() if self._session is None else catalog.layer(self._session)

    @property
    def view(self) -> CatalogView:
        """The session's view of the catalog."""
        if self._view is None:
            self._view = self.engine.catalog.view(self.session)
        return self._view

    @property
    def reader(self) -> CatalogReader:
        """Reads catalog rows as the session sees them."""
        return self.view.layer.reader

    def relation_name(self, desc: RelationDesc) -> str:
        """As regclass shows it: with its schema unless the bare name finds it."""
        name = quote_identifier(desc.name)
        return name if self.view.relation_is_visible(desc) else f"{quote_identifier(desc.schema)}.{name}"

    def type_name(self, oid: int, typmod: int = -1) -> str:
        """``format_type``; user types with their schema unless it is on the search path."""
        if oid == 0:
            return "-"
        if self.view.layer.type(oid) is None:
            return "???"
        return format_type(self.view, oid, typmod)


def quote_identifier(name: str) -> str:
    """As ``quote_ident``: quoted unless it is a plain lower-case word that is no keyword."""
    plain = (
        name.isascii() and name[:1].replace("_", "a").isalpha() and name.replace("_", "a").replace("$", "a").isalnum()
    )
    if plain and name == name.lower() and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


_KEYWORDS = frozenset(
    (  # noqa: SIM905
        "all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both "
        "case cast char character check coalesce collate collation column concurrently constraint create cross "
        "current_catalog current_date current_role current_schema current_time current_timestamp current_user dec "
        "decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign "
        "freeze from full grant greatest group grouping having ilike in initially inner inout int integer "
        "intersect interval into is isnull join lateral leading least left like limit localtime localtimestamp "
        "national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer "
        "overlaps overlay placing position precision primary real references returning right row select "
        "session_user setof similar smallint some substring symmetric table tablesample then time timestamp to "
        "trailing treat trim true union unique user using values varchar variadic verbose when where window with "
        "xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize "
        "xmltable"
    ).split()
)

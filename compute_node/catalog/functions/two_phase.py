"""Prepared transactions as the catalog shows them (manual, 54.16), and what may not be prepared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from aurora.datum import Datum, Row
from compute_node.catalog.functions.call import Call
from compute_node.catalog.rows import CatalogReader

_SCHEMA_OF = {
    "pg_class": "relnamespace", "pg_collation": "collnamespace", "pg_conversion": "connamespace",
    "pg_opclass": "opcnamespace", "pg_operator": "oprnamespace", "pg_opfamily": "opfnamespace",
    "pg_proc": "pronamespace", "pg_statistic_ext": "stxnamespace", "pg_ts_config": "cfgnamespace",
    "pg_ts_dict": "dictnamespace", "pg_ts_parser": "prsnamespace", "pg_ts_template": "tmplnamespace",
    "pg_type": "typnamespace", "pg_namespace": "oid",
}  # fmt: skip
"""catalog → the column with the schema of its objects"""


def prepared_xacts(call: Call) -> Iterator[Row]:
    """pg_prepared_xact: transaction, gid, prepared, ownerid, dbid."""
    for each in call.engine.storage.txns.prepared:
        yield (each.xid, each.gid, each.prepared_us, each.owner, each.database)


def uses_temporary(call: Call, relations: Collection[int]) -> bool:
    """Whether one of these relations, or what the transaction has written into the catalogs, is of the session's
    temporary schema, now or before the transaction."""
    session = call.session
    txn = session.txn
    if txn is None or session.temp_schema is None:
        return False
    catalog = call.engine.catalog
    temporary = catalog.layer(session).namespace_oid(session.temp_schema)
    changes = catalog.changes(txn)
    written: dict[str, set[int]] = {name: set(oids) for name, oids in changes.change.written.items()}
    written.setdefault("pg_class", set()).update(relations)
    readers = (changes.rows, CatalogReader(call.engine.storage, None, catalog.catalogs))
    for name, oids in written.items():
        column = _SCHEMA_OF.get(name)
        for oid in oids if column is not None else ():
            for reader in readers:
                row = reader.one(name, oid=oid)
                if row is not None and getattr(row, column or "") == temporary:
                    return True
    return False


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_prepared_xact": prepared_xacts,
    "uses_temporary": uses_temporary,
}

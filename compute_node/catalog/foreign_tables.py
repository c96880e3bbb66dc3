"""Rows of pg_foreign_table, its server and that one's wrapper → ``ForeignDesc``."""

from __future__ import annotations

from aurora.errors import InternalError
from compute_node.catalog.rows import CatalogReader
from compute_node.relations.foreign import ForeignDesc, options_of


def foreign_of(reader: CatalogReader, relation: int) -> ForeignDesc | None:
    """What stands behind a foreign table (OID); None while it is being made."""
    table = reader.one("pg_foreign_table", ftrelid=relation)
    if table is None:
        return None
    server = reader.one("pg_foreign_server", oid=table.ftserver)
    wrapper = None if server is None else reader.one("pg_foreign_data_wrapper", oid=server.srvfdw)
    if server is None or wrapper is None:
        raise InternalError(f"cache lookup failed for foreign server {table.ftserver}")
    handler = reader.one("pg_proc", oid=wrapper.fdwhandler) if wrapper.fdwhandler else None
    columns = {
        row.attnum: options_of(row.attfdwoptions)
        for row in reader.find("pg_attribute", attrelid=relation)
        if row.attfdwoptions
    }
    return ForeignDesc(
        server.srvname, wrapper.fdwname, "" if handler is None else handler.prosrc, options_of(table.ftoptions),
        options_of(server.srvoptions), options_of(wrapper.fdwoptions), columns,
    )  # fmt: skip

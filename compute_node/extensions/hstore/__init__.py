"""hstore: texts by keys in one value (manual, F.18).

``value`` is the pairs and their stored form → ``texts`` (text, JSON), ``functions``, ``records`` (rows);
``index_classes`` finds rows with GIN and GiST. B-trees and hashes go by the type's order.
"""

from __future__ import annotations

from aurora.datum import Datum
from aurora.errors import NullValueNotAllowed
from compute_node.extensions.hstore import functions, index_classes, records, texts, value
from compute_node.extensions.library import ORDERS, base_type, supports
from compute_node.types import oids
from compute_node.types.registry import PgType, Subscripts

__all__ = ["functions", "index_classes", "records"]


def _fetch(container: Datum, key: Datum) -> Datum:
    return None if container is None or key is None else functions.fetch(container, key)


def _store(container: Datum, key: Datum, text: Datum) -> Datum:
    if key is None:
        raise NullValueNotAllowed("hstore subscript in assignment must not be null")
    return functions.store(container, key, text)


base_type(
    PgType(
        oid=0, name="hstore", length=-1, by_value=False, category="U", align="i", storage="x", array=0,
        input=texts.read, output=texts.write, receive=value.receive, send=value.send,
        disk="x", to_disk=lambda item: item.data, from_disk=value.from_disk,
        sort_value=value.sort_key, sort_key=value.sort_key,
        subscripts=Subscripts("hstore", oids.TEXT, oids.TEXT, _fetch, _store), json_text=texts.to_json,
    ),
    "hstore_in", "hstore_out", "hstore_recv", "hstore_send",
)  # fmt: skip
supports("hstore_subscript_handler 1")
ORDERS.update(hstore_cmp="hstore_cmp")
index_classes.declare()

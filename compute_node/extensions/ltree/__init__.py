"""ltree: places in a tree of labels, and queries for them (manual, F.23).

``paths`` are the values; ``lquery`` and ``ltxtquery`` read queries, with ``variants`` for one label, and test paths by
them. ``functions`` has operators; ``index_classes`` finds rows with GiST. B-trees go by the order of the type. Values
of all three types are texts, as their output shows them.
"""

from __future__ import annotations

from collections.abc import Callable

from compute_node.extensions.library import ORDERS, base_type
from compute_node.extensions.ltree import functions, index_classes, lquery, ltxtquery, paths
from compute_node.types.registry import PgType, TypeEnv

__all__ = ["functions"]


def _type(
    name: str,
    read: Callable[[str, int, TypeEnv], str],
    reads: Callable[[str], str],
    sort_key: Callable[[str], bytes] | None = None,
) -> PgType:
    return PgType(
        oid=0, name=name, length=-1, by_value=False, category="U", align="i", storage="x", array=0, input=read,
        output=paths.write, text_bytes=str.encode, receive=paths.receiver(name, reads), send=paths.send, disk="s",
        sort_value=sort_key, sort_key=sort_key,
    )  # fmt: skip


base_type(
    _type("ltree", paths.read, paths.path_of, paths.sort_key), "ltree_in", "ltree_out", "ltree_recv", "ltree_send"
)
base_type(_type("lquery", lquery.read, lquery.query_of), "lquery_in", "lquery_out", "lquery_recv", "lquery_send")
base_type(_type("ltxtquery", ltxtquery.read, ltxtquery.query_of), "ltxtq_in", "ltxtq_out", "ltxtq_recv", "ltxtq_send")
ORDERS.update(ltree_cmp="ltree_cmp")
index_classes.declare()

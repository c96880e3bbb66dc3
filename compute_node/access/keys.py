"""From a relation's descriptor to the codec of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.kernels import tuples as tuples_kernel
from compute_node.relations.descriptors import RelationDesc
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from aurora.kernels.python.tuples import RowCodec


IMAGE_BYTES_MAX = 2038
"""A longer tuple image is for TOAST: PostgreSQL's 2032 bytes, eight more in the header, two fewer before a long
value."""


def row_codec(desc: RelationDesc, type_lookup: Callable[[int], PgType]) -> RowCodec:
    """The codec of a relation's rows. A dropped column's descriptor must still name its type."""
    types = [type_lookup(column.type) for column in desc.columns]
    missing = [column.missing if column.has_missing else None for column in desc.columns]
    limit = 0 if desc.toast is None else IMAGE_BYTES_MAX
    return tuples_kernel.RowCodec(
        "".join(each.disk for each in types),
        [each.to_disk for each in types],
        [each.from_disk for each in types],
        missing,
        limit,
    )

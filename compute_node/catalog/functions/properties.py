"""pg_index_has_property and its like: what an access method, an index and an index column can do; and amvalidate.

The methods that are not here have their rows in pg_am, and their properties are PostgreSQL's (manual, 9.26.4, ch. 64).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aurora.datum import Datum
from aurora.errors import InternalError
from compute_node.catalog.functions.call import Call
from compute_node.catalog.rows import Record
from compute_node.relations.access_methods import RETURNING_CLASSES


class _Method(NamedTuple):
    """What IndexAmRoutine says of an access method."""

    order: bool = False
    unique: bool = False
    multi_column: bool = False
    include: bool = False
    plain_scan: bool = True
    """amgettuple: what exclusion constraints need, too"""
    backward: bool = False
    cluster: bool = False
    search_array: bool = False
    search_nulls: bool = False
    order_by_operator: bool = False
    returns: bool = False


_BTREE, _HASH, _GIST, _GIN, _SPGIST, _BRIN = 403, 405, 783, 2742, 4000, 3580
_METHODS = {
    _BTREE: _Method(
        order=True, unique=True, multi_column=True, include=True, backward=True, cluster=True, search_array=True,
        search_nulls=True, returns=True,
    ),
    _HASH: _Method(backward=True),
    _GIST: _Method(multi_column=True, include=True, cluster=True, search_nulls=True, order_by_operator=True),
    _GIN: _Method(multi_column=True, plain_scan=False),
    _SPGIST: _Method(include=True, search_nulls=True, order_by_operator=True),
    _BRIN: _Method(multi_column=True, plain_scan=False, search_nulls=True),
}  # fmt: skip
_OF_METHOD: dict[str, Callable[[_Method], bool]] = {
    "can_order": lambda method: method.order,
    "can_unique": lambda method: method.unique,
    "can_multi_col": lambda method: method.multi_column,
    "can_exclude": lambda method: method.plain_scan,
    "can_include": lambda method: method.include,
}
_OF_INDEX: dict[str, Callable[[_Method], bool]] = {
    "clusterable": lambda method: method.cluster,
    "index_scan": lambda method: method.plain_scan,
    "bitmap_scan": lambda method: True,
    "backward_scan": lambda method: method.backward,
}
_DESC, _NULLS_FIRST = 1, 2
_OF_ORDER = {
    "asc": (_DESC, 0),
    "desc": (_DESC, _DESC),
    "nulls_first": (_NULLS_FIRST, _NULLS_FIRST),
    "nulls_last": (_NULLS_FIRST, 0),
}
"""property → which bit of pg_index.indoption, and what it is then"""


def method_property(call: Call, method: int, name: str) -> bool | None:
    """pg_indexam_has_property; NULL for an unknown method or property."""
    found, tell = _METHODS.get(method), _OF_METHOD.get(name.lower())
    return None if found is None or tell is None else tell(found)


def _index(call: Call, oid: int) -> tuple[Record, _Method] | None:
    entry = call.reader.one("pg_class", oid=oid)
    row = call.reader.one("pg_index", indexrelid=oid)
    if entry is None or row is None or entry.relam not in _METHODS:
        return None
    return row, _METHODS[entry.relam]


def index_property(call: Call, oid: int, name: str) -> bool | None:
    """pg_index_has_property."""
    found, tell = _index(call, oid), _OF_INDEX.get(name.lower())
    return None if found is None or tell is None else tell(found[1])


def column_property(call: Call, oid: int, attno: int, name: str) -> bool | None:
    """pg_index_column_has_property; an included column has no order."""
    found, name = _index(call, oid), name.lower()
    if found is None or not 1 <= attno <= found[0].indnatts:
        return None
    row, method = found
    is_key = attno <= row.indnkeyatts
    if name in _OF_ORDER:
        bit, wanted = _OF_ORDER[name]
        if not is_key:
            return None
        return method.order and row.indoption[attno - 1] & bit == wanted
    if name == "orderable":
        return is_key and method.order
    kind = row.indclass[attno - 1] if is_key else 0
    if name == "distance_orderable":
        is_unknown = method.order_by_operator and not is_key
        return None if is_unknown else method.order_by_operator and _has_distance(call, kind)
    if name == "returnable":
        if method is _METHODS[_GIST] and not is_key:
            return None
        is_kept = kind in RETURNING_CLASSES or (method is _METHODS[_GIST] and _gives_back(call, kind))
        return method.returns or is_kept or (method.include and not is_key)
    if name in ("search_array", "search_nulls"):
        return getattr(method, name) if is_key else None
    return None


_COMPRESS_FUNCTION, _DISTANCE_FUNCTION, _FETCH_FUNCTION = 3, 8, 9
"""Support functions of GiST: what makes keys of values, what measures, what gives the values back"""


def _support_functions(call: Call, found: Record) -> set[int]:
    """The numbers of an operator class's functions for its own type."""
    kind, functions = found.opcintype, call.reader.find("pg_amproc", amprocfamily=found.opcfamily)
    return {each.amprocnum for each in functions if each.amproclefttype == each.amprocrighttype == kind}


def _gives_back(call: Call, operator_class: int) -> bool:
    """Whether an operator class of GiST keeps the values, or can make them of its keys."""
    found = call.reader.one("pg_opclass", oid=operator_class)
    if found is None:
        return False
    functions = _support_functions(call, found)
    return _FETCH_FUNCTION in functions or _COMPRESS_FUNCTION not in functions


def _has_distance(call: Call, operator_class: int) -> bool:
    """Whether an operator class orders rows by a distance."""
    found = call.reader.one("pg_opclass", oid=operator_class)
    if found is None:
        return False
    kind, family = found.opcintype, found.opcfamily
    if found.opcmethod == _GIST:
        return _DISTANCE_FUNCTION in _support_functions(call, found)
    operators = call.reader.find("pg_amop", amopfamily=family)
    return any(each.amoppurpose == "o" and each.amoplefttype == kind for each in operators)


_PHASES = {
    1: "initializing",
    2: "scanning table",
    3: "sorting live tuples",
    4: "sorting dead tuples",
    5: "loading tuples in tree",
}


def phase_name(call: Call, method: int, phase: int) -> str | None:
    """pg_indexam_progress_phasename: of building a B-tree."""
    return _PHASES.get(phase) if method == _BTREE else None


_NEEDED = {_BTREE: ((1, 2, 3, 4, 5), {1}), _HASH: ((1,), {1, 2})}
"""the strategies that an operator class must have, and the support functions of which it must have one"""


def validate_class(call: Call, oid: int) -> bool:
    """amvalidate: whether an operator class has the operators and the function that its method needs. XX000 for an
    unknown one."""
    row = call.reader.one("pg_opclass", oid=oid)
    if row is None:
        raise InternalError(f"cache lookup failed for operator class {oid}")
    if row.opcmethod not in _NEEDED:
        return True
    strategies, support = _NEEDED[row.opcmethod]
    operators = {
        each.amopstrategy
        for each in call.reader.find("pg_amop", amopfamily=row.opcfamily)
        if each.amoplefttype == each.amoprighttype == row.opcintype
    }
    functions = {
        each.amprocnum
        for each in call.reader.find("pg_amproc", amprocfamily=row.opcfamily)
        if each.amproclefttype == each.amprocrighttype == row.opcintype
    }
    return operators >= set(strategies) and bool(functions & support)


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_indexam_has_property": method_property,
    "pg_index_has_property": index_property,
    "pg_index_column_has_property": column_property,
    "pg_indexam_progress_phasename": phase_name,
    "amvalidate": validate_class,
}

"""What functions do under a collation: for each that depends on one, when that differs from what it does by default,
and its code then.

A function with ``Function.specialize`` gets the types of its arguments under the collation instead.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from aurora.datum import Datum
from aurora.errors import DatatypeMismatch, NotSupported
from compute_node.types.collation.collation import INDETERMINATE, Collation
from compute_node.types.declare import specialized
from compute_node.types.hashes import _int4, _int8, hash_bytes, hash_bytes_extended
from compute_node.types.like import like_test
from compute_node.types.oids import UNKNOWN
from compute_node.types.regex.matcher import AsciiPattern
from compute_node.types.registry import REGISTRY, Aggregate, Function, FunctionContext, PgType

Make = Callable[[Function, Collation], Callable[..., Datum]]


class Rule(NamedTuple):
    """``applies``: whether the function's code under the collation is another than its own."""

    applies: Callable[[Collation], bool]
    make: Make


def _differs(collation: Collation) -> bool:
    """For order: any but that of code points."""
    return collation.orders


def _merges(collation: Collation) -> bool:
    """For equality: one that holds different texts for equal."""
    return not collation.deterministic or collation.oid == INDETERMINATE


def _by_letters(collation: Collation) -> bool:
    """For what depends on letters and their case."""
    return collation.cases or _merges(collation)


def _refuse(collation: Collation, use: str) -> Callable[..., Datum]:
    def refuse(*_: Datum) -> Datum:
        raise collation.refusal(use)

    return refuse


def _comparison(compare: Callable[[Any, Any], Datum], blanks: bool) -> Make:
    def make(function: Function, collation: Collation) -> Callable[..., Datum]:
        order = collation.order() or (lambda text: text)
        if blanks:
            return lambda a, b: compare(order(a.rstrip(" ")), order(b.rstrip(" ")))
        return lambda a, b: compare(order(a), order(b))

    return make


def _choice(larger: bool, blanks: bool) -> Make:
    """Of equals the second."""

    def make(function: Function, collation: Collation) -> Callable[..., Datum]:
        order = collation.order() or (lambda text: text)

        def choose(a: str, b: str) -> str:
            one, other = (order(each.rstrip(" ") if blanks else each) for each in (a, b))
            return (a if one > other else b) if larger else (a if one < other else b)

        return choose

    return make


def _hash(extended: bool, blanks: bool) -> Make:
    def make(function: Function, collation: Collation) -> Callable[..., Datum]:
        if collation.oid == INDETERMINATE:
            return _refuse(collation, "string hashing")
        sort_key = collation.icu.sort_key

        def key(text: str) -> bytes:
            return sort_key(text.rstrip(" ") if blanks else text)

        if extended:
            return lambda text, seed: _int8(hash_bytes_extended(key(text), seed))
        return lambda text: _int4(hash_bytes(key(text)))

    return make


def _case(change: Callable[[Function, Collation], Callable[[str], str]]) -> Make:
    def make(function: Function, collation: Collation) -> Callable[..., Datum]:
        if collation.oid == INDETERMINATE:
            return _refuse(collation, f"{function.name}() function")
        return change(function, collation)

    return make


def _title(function: Function, collation: Collation) -> Callable[[str], str]:
    if collation.provider == "i":
        return collation.icu.title
    lower, upper = collation.lower(), collation.upper()

    def title(text: str) -> str:
        out, inside = [], False
        for each in text:
            out.append(lower(each) if inside else upper(each))
            inside = each.isascii() and each.isalnum()
        return "".join(out)

    return title


def _ilike(expected: bool) -> Make:
    def make(function: Function, collation: Collation) -> Callable[..., Datum]:
        if collation.oid == INDETERMINATE:
            return _refuse(collation, "ILIKE")
        if not collation.deterministic:
            return _unsupported("ILIKE")(function, collation)
        lower = collation.lower()
        return lambda value, pattern: like_test(lower(pattern))(lower(value)) is expected

    return make


def _unsupported(what: str, indeterminate: str = "string comparison") -> Make:
    """Refused for a collation that is not deterministic, and where none is known."""

    def make(function: Function, collation: Collation) -> Callable[..., Datum]:
        if collation.oid == INDETERMINATE:
            return _refuse(collation, indeterminate)

        def refuse(*_: Datum) -> Datum:
            raise NotSupported(f"nondeterministic collations are not supported for {what}")

        return refuse

    return make


def _by_ascii(function: Function, collation: Collation) -> Callable[..., Datum]:
    """Regular expressions whose letters are ASCII's alone."""
    if _merges(collation):
        return _unsupported("regular expressions", "regular expression")(function, collation)
    run = function.implementation
    last, marked = "", AsciiPattern("")

    def search(value: str, pattern: str, *others: Datum) -> Datum:
        nonlocal last, marked
        if pattern is not last:
            last, marked = pattern, AsciiPattern(pattern)
        return run(value, marked, *others)

    return search


RULES: Final[dict[int, Rule]] = {}
"""By the function's OID."""


def _add(oids: str, applies: Callable[[Collation], bool], make: Make) -> None:
    for oid in oids.split():
        RULES[int(oid)] = Rule(applies, make)


for _compare, _plain, _padded, _names in (
    (operator.lt, "740", "1049", "655 241 248"),
    (operator.le, "741", "1050", "656 242 249"),
    (operator.gt, "742", "1051", "657 244 251"),
    (operator.ge, "743", "1052", "658 243 250"),
    (lambda a, b: (a > b) - (a < b), "360", "1078", "359 246 253"),
):
    _add(f"{_plain} {_names}", _differs, _comparison(_compare, False))
    _add(_padded, _differs, _comparison(_compare, True))
for _compare, _plain, _padded in (
    (operator.eq, "67 62 240 247", "1048"),
    (operator.ne, "157 659 245 252", "1053"),
):
    _add(_plain, _merges, _comparison(_compare, False))
    _add(_padded, _merges, _comparison(_compare, True))
_add("458", _differs, _choice(True, False))
_add("459", _differs, _choice(False, False))
_add("1063", _differs, _choice(True, True))
_add("1064", _differs, _choice(False, True))
_add("400", _merges, _hash(False, False))
_add("448", _merges, _hash(True, False))
_add("1080", _merges, _hash(False, True))
_add("972", _merges, _hash(True, True))
_add("870", _by_letters, _case(lambda function, collation: collation.lower()))
_add("871", _by_letters, _case(lambda function, collation: collation.upper()))
_add("872", _by_letters, _case(_title))
_add(
    "850 851 858 859 1569 1570 1571 1572 1631 1632", lambda collation: not collation.deterministic, _unsupported("LIKE")
)
_add("1633 1635 1660", _by_letters, _ilike(True))
_add("1634 1636 1661", _by_letters, _ilike(False))
_add(
    "79 1238 1239 1240 1241 1252 1254 1256 1656 1657 1658 1659 2073 2074 2284 2285 2763 2764 2765 2766 2767 2768 3396"
    " 3397 6251 6252 6253 6254 6255 6256 6257 6258 6259 6260 6261 6262 6263 6264 6265 6266 6267 6268 6269",
    lambda collation: _merges(collation) or collation.has_ascii_letters,
    _by_ascii,
)


def _search(nothing_to_do: Callable[..., bool]) -> Make:
    """Refused too, but not where nothing is searched for."""

    def make(function: Function, collation: Collation) -> Callable[..., Datum]:
        refuse, run = _unsupported("substring searches")(function, collation), function.implementation

        def search(*arguments: Datum) -> Datum:
            return run(*arguments) if nothing_to_do(*arguments) else refuse()

        return search

    return make


def _pieces(function: Function, collation: Collation) -> Callable[..., Datum]:
    """Of ``string_to_array``: what stands for NULL is found by the collation."""
    search = _search(lambda value, separator, *_: not value or not separator)(function, collation)
    if collation.oid == INDETERMINATE:
        return search
    key = collation.icu.sort_key

    def split(value: str | None, separator: str | None, null_text: str | None = None) -> Datum:
        found: Any = search(value, separator)
        if null_text is None or not found:
            return found
        null = key(null_text)
        return [None if key(each) == null else each for each in found]

    return split


_add("376 394 6160 6161", _merges, _pieces)
_add("849 868", _merges, _search(lambda value, part: not part or len(value.encode()) < len(part.encode())))
_add("2087", _merges, _search(lambda value, old, new: not value or not old))
_add("2088", _merges, _search(lambda value, delimiter, field: not field or not value or not delimiter))
_add("3696", _merges, _unsupported("substring searches"))

_MAX_MIN = {2129: True, 2244: True, 2145: False, 2245: False}


def code_under(function: Function, collation: Collation) -> Callable[..., Datum] | None:
    """The function's code under a collation; None where that changes nothing."""
    rule = RULES.get(function.oid)
    return None if rule is None or not rule.applies(collation) else rule.make(function, collation)


def depends(function: Function, collation: Collation) -> bool:
    """Whether the function, or the aggregate, does something else under the collation than by default."""
    rule = RULES.get(function.oid)
    if rule is not None:
        return rule.applies(collation)
    if function.oid == COLLATION_FOR:
        return collation.provider != "d"
    return collation.orders and (function.specialize is not None or _is_ordered(function))


def _is_ordered(function: Function) -> bool:
    if function.kind != "a":
        return False
    found = REGISTRY.aggregates.get(function.oid)
    return function.oid in _MAX_MIN or (found is not None and found.specialize is not None)


def aggregate_under(aggregate: Aggregate, types: Sequence[PgType]) -> Aggregate:
    """max and min of strings by the collation of their argument's type; any other aggregate as it is."""
    larger = _MAX_MIN.get(aggregate.oid)
    if larger is None or types[0].collated is None:
        return aggregate
    order = types[0].sort_value or (lambda text: text)

    def step(state: Any, value: Any) -> Datum:
        if state is None:
            return value
        one, other = order(state), order(value)
        return (state if one > other else value) if larger else (state if one < other else value)

    return Aggregate(oid=aggregate.oid, initial=lambda: None, step=step, final=lambda state: state)


COLLATION_FOR: Final = 3162


def _collation_for(types: tuple[PgType, ...], result: PgType) -> Callable[..., Datum]:
    kind = types[0]
    if kind.oid != UNKNOWN and not kind.collation:
        raise DatatypeMismatch(f"collations are not supported by type {kind.formatted_name or kind.name}")

    def shown(context: FunctionContext, value: Datum) -> Datum:
        if kind.oid == UNKNOWN:
            return None
        oid = kind.collation if kind.collated is None else kind.collated.oid
        return None if oid == INDETERMINATE else context.session.catalog_function("regcollationout", oid)

    return shown


specialized(COLLATION_FOR, "pg_collation_for(any) text stable nullable", _collation_for, needs_context=True)

"""LIKE and anchored regular expressions as ranges: ``a LIKE 'abc%'`` → ``a >= 'abc' AND a < 'abd'``.

Text is ordered by its bytes here, so both the default classes and the pattern classes can serve them. The pattern must
be a constant when the plan is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Const, Expr, Param
from compute_node.types import oids
from compute_node.types.like import like_prefix
from compute_node.types.regex import regex_prefix
from compute_node.types.registry import OperatorClass


def _unfolded(prefix_of: Callable[[str], tuple[str, bool]]) -> Callable[[str], tuple[str, bool]]:
    """The same of a match that ignores case: as far as no character has another case."""

    def found(pattern: str) -> tuple[str, bool]:
        prefix, exact = prefix_of(pattern)
        kept = next((at for at, char in enumerate(prefix) if char.isalpha() or not char.isascii()), len(prefix))
        return prefix[:kept], exact and kept == len(prefix)

    return found


_PREFIXES: dict[int, Callable[[str], tuple[str, bool]]] = {
    850: like_prefix,  # textlike
    858: like_prefix,  # namelike
    1631: like_prefix,  # bpcharlike
    1254: regex_prefix,  # textregexeq
    79: regex_prefix,  # nameregexeq
    1658: regex_prefix,  # bpcharregexeq
    1633: _unfolded(like_prefix),  # texticlike
    1635: _unfolded(like_prefix),  # nameiclike
    1660: _unfolded(like_prefix),  # bpchariclike
    1238: _unfolded(regex_prefix),  # texticregexeq
    1240: _unfolded(regex_prefix),  # nameicregexeq
    1656: _unfolded(regex_prefix),  # bpcharicregexeq
}
"""What a pattern function's second argument says of the first: (literal prefix, whether that is all)."""
_GREATEST = "\U0010ffff"
_LESS, _EQUAL, _GREATER_EQUAL = 1, 3, 4


def prefix_conditions(
    catalog: CatalogView, opclass: OperatorClass, column: Expr, qual: Call, literals: list[Param]
) -> Iterator[Call]:
    """Conditions on ``column`` by operators of the class that follow from the pattern match ``qual``."""
    prefix_of = _PREFIXES.get(catalog.operator(qual.operator).function)
    if prefix_of is None or opclass.input_type != column.type:
        # A text that is indexed as bpchar, say, has another order.
        return
    pattern = qual.arguments[1]
    if isinstance(pattern, Param):
        literals.append(pattern)
        return
    if not isinstance(pattern, Const) or not isinstance(pattern.value, str):
        return
    prefix, exact = prefix_of(pattern.value)
    if not prefix:
        return
    value_type = oids.TEXT if opclass.input_type == oids.NAME else opclass.input_type
    if exact:
        yield from _condition(catalog, opclass, column, value_type, _EQUAL, prefix)
        return
    if opclass.input_type == oids.BPCHAR:
        # Blanks at the end do not count when bpchar values are compared: they cannot bound from below.
        prefix = prefix.rstrip(" ")
        if not prefix:
            return
    yield from _condition(catalog, opclass, column, value_type, _GREATER_EQUAL, prefix)
    above = _above(prefix)
    if above:
        yield from _condition(catalog, opclass, column, value_type, _LESS, above)


def _condition(
    catalog: CatalogView, opclass: OperatorClass, column: Expr, value_type: int, strategy: int, text: str
) -> Iterator[Call]:
    operator = catalog.family_operator(opclass.family, opclass.input_type, value_type, strategy)
    if operator:
        yield Call(
            type=oids.BOOL,
            function=catalog.operator(operator).function,
            operator=operator,
            arguments=(column, Const(type=value_type, value=text)),
        )


def _above(prefix: str) -> str:
    """The least text, by bytes, above all that start with ``prefix``; empty when there is none."""
    kept = prefix.rstrip(_GREATEST)
    if not kept:
        return ""
    following = ord(kept[-1]) + 1
    # There are no characters among the surrogates.
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)

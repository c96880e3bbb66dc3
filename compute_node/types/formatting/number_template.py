"""The patterns of numbers (manual, table 9.29) and what a template says about a number as a whole."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Final

from aurora.errors import SqlError, SqlSyntaxError
from compute_node.types.formatting.template import Kind, Node, Pattern, Patterns, cached, nodes
from compute_node.types.long_text import paced

_NAMES = ", . 0 9 B C D EEEE FM G L MI PL PR RN SG SP S TH V b c d eeee fm g l mi pl pr rn sg sp s th v"
PATTERNS: Final = Patterns([Pattern(name) for name in _NAMES.split()])


@dataclass(slots=True)
class Shape:
    """A number as a template describes it."""

    whole: int = 0
    """digits before the point"""
    fraction: int = 0
    """digits after it"""
    shift: int = 0
    """digits after V: the power of ten to multiply with"""
    sign: str = ""
    """where S stands: ``before`` or ``after`` the digits"""
    sign_at: int = 0
    """digits before S"""
    zero_start: int = 0
    zero_end: int = 0
    has_point: bool = False
    fill: bool = False
    zero: bool = False
    blank: bool = False
    has_sign: bool = False
    bracket: bool = False
    minus: bool = False
    plus: bool = False
    roman: bool = False
    shifted: bool = False
    scientific: bool = False
    local_point: bool = False

    def copy(self) -> Shape:
        """One that a conversion may change."""
        return copy.copy(self)


def _error(message: str, detail: str | None = None) -> SqlError:
    return SqlSyntaxError(message, detail=detail)


def _together(one: str, other: str) -> SqlError:
    return _error(f"cannot use {one} and {other} together")


def _add(shape: Shape, key: str) -> None:
    """Account for one pattern; 42601 where it does not go with those before."""
    if shape.scientific and key != "EEEE":
        raise _error('"EEEE" must be the last pattern used')
    if key in ("9", "0"):
        _digit(shape, key)
    elif key == "B":
        shape.blank |= not (shape.whole or shape.fraction or shape.zero)
    elif key in ("D", "."):
        shape.local_point |= key == "D"
        if shape.has_point:
            raise _error("multiple decimal points")
        if shape.shifted:
            raise _together('"V"', "decimal point")
        shape.has_point = True
    elif key == "FM":
        shape.fill = True
    elif key in ("S", "MI", "PL", "SG", "PR"):
        _sign(shape, key)
    elif key == "RN":
        shape.roman = True
    elif key == "V":
        if shape.has_point:
            raise _together('"V"', "decimal point")
        shape.shifted = True
    elif key == "EEEE":
        _scientific(shape)


def _digit(shape: Shape, key: str) -> None:
    if shape.bracket:
        raise _error(f'"{key}" must be ahead of "PR"')
    if key == "9" and shape.shifted:
        shape.shift += 1
        return
    if key == "0" and not shape.zero and not shape.has_point:
        shape.zero = True
        shape.zero_start = shape.whole + 1
    if shape.has_point:
        shape.fraction += 1
    else:
        shape.whole += 1
    if key == "0":
        shape.zero_end = shape.whole + shape.fraction


def _sign(shape: Shape, key: str) -> None:
    if key == "S":
        if shape.has_sign:
            raise _error('cannot use "S" twice')
        if shape.plus or shape.minus or shape.bracket:
            raise _together('"S"', '"PL"/"MI"/"SG"/"PR"')
        shape.has_sign = True
        shape.sign = "after" if shape.has_point else "before"
        shape.sign_at = 0 if shape.has_point else shape.whole
    elif key == "PR":
        if shape.has_sign or shape.plus or shape.minus:
            raise _together('"PR"', '"S"/"PL"/"MI"/"SG"')
        shape.bracket = True
    else:
        if shape.has_sign:
            raise _together('"S"', f'"{key}"')
        shape.minus |= key in ("MI", "SG")
        shape.plus |= key in ("PL", "SG")


def _scientific(shape: Shape) -> None:
    if shape.scientific:
        raise _error('cannot use "EEEE" twice')
    if (
        shape.blank
        or shape.fill
        or shape.has_sign
        or shape.bracket
        or shape.minus
        or shape.plus
        or shape.roman
        or shape.shifted
    ):
        raise _error(
            '"EEEE" is incompatible with other formats',
            '"EEEE" may only be used together with digit and decimal point patterns.',
        )
    shape.scientific = True


@cached
def number_template(template: str) -> tuple[list[Node], Shape]:
    """A template's pieces and shape; 42601."""
    pieces, shape = nodes(template, PATTERNS), Shape()
    for node in paced(pieces):
        if node.kind is Kind.PATTERN:
            _add(shape, node.text.upper())
    return pieces, shape

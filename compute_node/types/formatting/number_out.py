"""to_char of numbers. Each type makes the digits of its value, with as many decimals as the template has; ``_Writer``
puts them in the template's places."""

from __future__ import annotations

import functools
import math
from decimal import Decimal
from typing import Final

from aurora.kernels import values
from compute_node.types.declare import fn
from compute_node.types.formatting.number_template import Shape, number_template
from compute_node.types.formatting.template import Kind, Node, ordinal
from compute_node.types.integer import HIGH, LOW, overflow
from compute_node.types.long_text import joined, paced
from compute_node.types.numeric import EXACT, multiply, numeric_out, round_scale, to_integer

_ROMAN: Final = (
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)
_CURRENCY = " "
"""The currency symbol of lc_monetary C."""


def _roman(number: int) -> str:
    if not 1 <= number <= 3999:
        return "#" * 15
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text


class _Writer:
    """One number in one template. ``digits`` has no sign; ``blanks`` places of the template come before them."""

    def __init__(self, shape: Shape, digits: str, blanks: int, sign: str) -> None:
        self.shape, self.digits, self.sign = shape, digits, sign
        self.out: list[str] = []
        self.place = 0
        """how many digit places were written"""
        self.at = 0
        """the next of ``digits``"""
        self.begun = False
        """a digit was written, so that group separators count"""
        self.end: int | None = None
        """where the result ends early: at a place for which the number has no character"""
        self.last: int | None = None
        """FM: the last digit that is not a zero at the end"""
        if shape.roman:
            self.blanks, self.sign = 0, ""
            return
        self.blanks = blanks
        self.zero_start = max(shape.zero_start - 1, 0)
        self.sign_done = self.begin_sign()
        self.count = shape.fraction + shape.whole - 1
        if shape.fill and shape.has_point:
            self.last = self.last_relevant()
        if not self.sign_done and not blanks:
            self.count += 1

    def begin_sign(self) -> bool:
        """Whether the sign is not to be written with the digits."""
        shape = self.shape
        if shape.plus or shape.minus:
            return not (shape.plus and not shape.minus)
        if self.sign != "-" and shape.bracket and shape.fill:
            shape.bracket = False
        if shape.sign == "before" and shape.whole == shape.sign_at:
            shape.sign = "after"
        return self.sign == "+" and shape.fill and not shape.has_sign

    def last_relevant(self) -> int | None:
        point = self.digits.find(".")
        if point < 0:
            return None
        last = point
        for index in range(point + 1, len(self.digits)):
            if self.digits[index] != "0":
                last = index
        if self.shape.zero_end > self.blanks:
            last = max(last, min(len(self.digits) - 1, self.shape.zero_end - self.blanks))
        return last

    def run(self, pieces: list[Node]) -> str:
        for node in paced(pieces):
            if node.kind is not Kind.PATTERN:
                self.out.append(node.text)
            elif node.text in ("9", "0", ".", "D", "d"):
                if not self.shape.roman:
                    self.digit(node.text)
            else:
                self.other(node.text)
        return joined(self.out[: self.end])

    def stop(self) -> None:
        """What is written from here on is not shown."""
        if self.end is None:
            self.end = len(self.out)

    def other(self, name: str) -> None:
        shape, key = self.shape, name.upper()
        if key in (",", "G"):
            if self.begun:
                self.out.append(",")
            elif not shape.fill:
                self.out.append(" ")
        elif key == "L":
            self.out.append(_CURRENCY)
        elif key == "RN":
            text = self.digits if name == "RN" else self.digits.lower()
            self.out.append(text if shape.fill else text.rjust(15))
        elif key == "TH":
            if not (shape.roman or self.digits.startswith("#") or self.sign == "-" or shape.has_point):
                self.out.append(ordinal(self.digits, name))
        elif key == "MI":
            self.mark("-")
        elif key == "PL":
            self.mark("+")
        elif key == "SG":
            self.out.append(self.sign)
            if not self.sign:
                self.stop()

    def mark(self, sign: str) -> None:
        if self.sign == sign:
            self.out.append(sign)
        elif not self.shape.fill:
            self.out.append(" ")

    def no_leading_zero(self) -> bool:
        """``0.1`` in ``9.9`` is written without its zero."""
        return not self.shape.zero and self.at == 0 and self.digits.startswith("0") and self.shape.fraction != 0

    def point_is_last(self) -> bool:
        return self.last is not None and self.digits[self.last] == "."

    def write_sign(self) -> None:
        shape = self.shape
        if shape.has_sign:
            if shape.sign == "before":
                self.out.append(self.sign)
                self.sign_done = True
            return
        self.sign_done = True
        if shape.bracket:
            self.out.append(" " if self.sign == "+" else "<")
        elif self.sign == "-":
            self.out.append("-")
        elif not shape.fill:
            self.out.append(" ")

    def digit(self, name: str) -> None:
        shape, place = self.shape, self.place
        self.begun = False
        if (
            not self.sign_done
            and (place >= self.blanks or (shape.zero and self.zero_start == place))
            and (not self.no_leading_zero() or self.point_is_last())
        ):
            self.write_sign()
        if place < self.blanks and (self.zero_start > place or not shape.zero):
            if not shape.fill:
                self.out.append(" ")
        elif shape.zero and place < self.blanks:
            self.out.append("0")
            self.begun = True
        else:
            self.figure(name)
        end = self.count + (1 if self.blanks else 0) + (1 if shape.has_point else 0)
        if self.last is not None and self.last == self.at:
            end = place
        if place + 1 == end:
            if self.sign_done and shape.bracket:
                self.out.append(" " if self.sign == "+" else ">")
            elif shape.has_sign and shape.sign == "after":
                self.out.append(self.sign)
        self.place += 1

    def figure(self, name: str) -> None:
        """The next of the number's own characters."""
        digits, at = self.digits, self.at
        if at >= len(digits):
            if self.last is None or at <= self.last or name == "0":
                self.begun = True
                self.stop()
            return
        if digits[at] == ".":
            self.out.append(".")
        elif self.last is not None and at > self.last and name != "0":
            pass
        elif self.no_leading_zero():
            if not self.shape.fill:
                self.out.append(" ")
            elif self.point_is_last():
                self.out.append("0")
        else:
            self.out.append(digits[at])
            self.begun = True
        self.at += 1


_PLANNED_MAX: Final = 64
"""Characters of a template and of a number for which a plan is kept."""
_MARKS: Final = 0xF0000
"""Private characters that stand for the places of a number."""


def _placed(template: str, whole_places: int, fraction: int, digits: str) -> str:
    """Signed digits in the template, which has so many places before and after the point; ``#`` where there are too
    many. How a number of a length is laid out is found once (``_plan``)."""
    sign = "-" if digits.startswith("-") else "+"
    digits = digits.lstrip("-")
    point = digits.find(".")
    whole = len(digits) if point < 0 else point
    if whole <= whole_places and len(digits) <= _PLANNED_MAX and len(template) <= _PLANNED_MAX:
        zeros = len(digits) - len(digits.rstrip("0")) if point >= 0 else 0
        plan = _plan(template, whole_places, fraction, sign, whole, len(digits), digits[:1] == "0", zeros)
        if plan is not None:
            return "".join([piece if isinstance(piece, str) else digits[piece] for piece in plan])
    if whole > whole_places:
        digits = "#" * whole_places + "." + "#" * fraction
    pieces, parsed = number_template(template)
    shape = parsed.copy()
    shape.whole, shape.fraction = whole_places, fraction
    return _Writer(shape, digits, max(whole_places - whole, 0), sign).run(pieces)


@functools.lru_cache(maxsize=1024)
def _plan(
    template: str, whole_places: int, fraction: int, sign: str, whole: int, length: int, zero_first: bool, zeros: int
) -> tuple[str | slice, ...] | None:
    """The result for every number of that sign, with so many characters, ``whole`` of them before the point, the last
    ``zeros`` of them zeros: texts and pieces of the number. None where its digits matter more than that."""
    pieces, parsed = number_template(template)
    if any(node.kind is Kind.PATTERN and node.text.upper() in ("TH", "RN") for node in pieces):
        return None
    marks = [chr(_MARKS + place) for place in range(length)]
    if whole < length:
        marks[whole] = "."
    if zero_first:
        marks[0] = "0"
    marks[length - zeros :] = ["0"] * zeros
    shape = parsed.copy()
    shape.whole, shape.fraction = whole_places, fraction
    text = _Writer(shape, "".join(marks), max(whole_places - whole, 0), sign).run(pieces)
    plan: list[str | slice] = []
    for sign_or_mark in text:
        place = ord(sign_or_mark) - _MARKS
        last = plan[-1] if plan else None
        if not 0 <= place < length:
            plan[len(plan) - isinstance(last, str) :] = [(last if isinstance(last, str) else "") + sign_or_mark]
        elif isinstance(last, slice) and last.stop == place:
            plan[-1] = slice(last.start, place + 1)
        else:
            plan.append(slice(place, place + 1))
    return tuple(plan)


def _roman_text(pieces: list[Node], shape: Shape, number: int) -> str:
    return _Writer(shape, _roman(number), 0, "").run(pieces)


def _unscientific(shape: Shape) -> str:
    """What stands for NaN and the infinities."""
    return " " + "#" * shape.whole + "." + "#" * (shape.fraction + 4)


def _scientific(value: Decimal, decimals: int) -> str:
    exponent = value.adjusted() if value else 0
    scaled = value.scaleb(-exponent, EXACT)
    rounded = round_scale(scaled, decimals) if scaled else round_scale(Decimal(0), decimals)
    text = f"{numeric_out(rounded)}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return text if text.startswith("-") else " " + text


@functools.lru_cache(maxsize=512)
def _layout(template: str) -> tuple[int, int] | None:
    """Digits before and after the point; None of a template that changes the number, and of a long one."""
    if not template or len(template) > _PLANNED_MAX:
        return None
    shape = number_template(template)[1]
    if shape.roman or shape.scientific or shape.shifted:
        return None
    return shape.whole + shape.shift, shape.fraction


@functools.lru_cache(maxsize=1024)
def _around(template: str, length: int) -> tuple[str, str] | None:
    """What stands before and after a positive integer of so many digits, where they stand together; else None."""
    layout = _layout(template)
    if layout is None or layout[1] or length > layout[0]:
        return None
    plan = _plan(template, layout[0], 0, "+", length, length, False, 0)
    if plan is None or slice(0, length) not in plan:
        return None
    at = plan.index(slice(0, length))
    texts = [piece for piece in plan if isinstance(piece, str)]
    if len(texts) != len(plan) - 1 or at > 1 or len(plan) - at > 2:
        return None
    return texts[0] if at else "", texts[-1] if len(plan) - at == 2 else ""


def _numeric(value: Decimal, template: str) -> str:
    if not template:
        return ""
    layout = _layout(template)
    rounded = None if layout is None else values.rounded(value, layout[1])
    if layout is not None and rounded is not None:
        return _placed(template, *layout, numeric_out(rounded))
    pieces, shape = number_template(template)
    if shape.roman:
        return _roman_text(pieces, shape.copy(), to_integer(4)(round_scale(value, 0)))
    if shape.scientific:
        return _scientific(value, shape.fraction) if value.is_finite() else _unscientific(shape)
    if shape.shifted:
        value = multiply(value, Decimal(10) ** shape.shift)
    digits = numeric_out(round_scale(value, shape.fraction))
    return _placed(template, shape.whole + shape.shift, shape.fraction, digits)


def _integer(value: int, template: str, size: int) -> str:
    if value > 0:
        digits = str(value)
        around = _around(template, len(digits))
        if around is not None:
            return around[0] + digits + around[1]
    if not template:
        return ""
    pieces, shape = number_template(template)
    if shape.roman:
        return _roman_text(pieces, shape.copy(), value if LOW[4] <= value <= HIGH[4] else overflow(4))
    if shape.scientific:
        if size == 8:
            return _scientific(Decimal(value), shape.fraction)
        text = f"{float(value):.{shape.fraction}e}"
        return text if text.startswith("-") else " " + text
    if shape.shifted:
        if size == 4:
            # Four bytes wrap, eight do not.
            factor = 10**shape.shift if shape.shift < 10 else LOW[4]
            value = (value * factor + 2**31) % 2**32 - 2**31
        else:
            value *= 10**shape.shift
            if not LOW[size] <= value <= HIGH[size]:
                overflow(size)
    digits = str(value)
    if shape.fraction:
        digits += "." + "0" * shape.fraction
    return _placed(template, shape.whole + shape.shift, shape.fraction, digits)


def _fixed(value: float, decimals: int) -> str:
    """C's %.*f."""
    if not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return f"{value:.{decimals}f}"


def _float(value: float, template: str, significant: int) -> str:
    if not template:
        return ""
    pieces, shape = number_template(template)
    if shape.roman:
        inside = math.isfinite(value) and LOW[4] <= round(value) <= HIGH[4]
        return _roman_text(pieces, shape.copy(), round(value) if inside else 0)
    if shape.scientific:
        if not math.isfinite(value):
            return _unscientific(shape)
        text = f"{value:.{shape.fraction}e}"
        return text if text.startswith("-") else " " + text
    if shape.shifted:
        value *= 10.0**shape.shift
    whole, fraction = len(_fixed(abs(value), 0)), shape.fraction
    if whole >= significant:
        fraction = 0
    elif whole + fraction > significant:
        fraction = significant - whole
    return _placed(template, shape.whole + shape.shift, fraction, _fixed(value, fraction))


fn(1772, "to_char(numeric, text) text stable", _numeric)
fn(1773, "to_char(int4, text) text stable", lambda value, template: _integer(value, template, 4))
fn(1774, "to_char(int8, text) text stable", lambda value, template: _integer(value, template, 8))
fn(1775, "to_char(float4, text) text stable", lambda value, template: _float(value, template, 6))
fn(1776, "to_char(float8, text) text stable", lambda value, template: _float(value, template, 15))

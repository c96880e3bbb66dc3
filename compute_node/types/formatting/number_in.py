"""to_number: digits, sign and point are picked out of a text where the template expects them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from aurora.errors import NotSupported
from compute_node.types.declare import fn
from compute_node.types.formatting.number_template import Shape, number_template
from compute_node.types.formatting.template import Kind, Node
from compute_node.types.long_text import joined, paced
from compute_node.types.numeric import multiply, numeric_in
from compute_node.types.numeric_functions import power
from compute_node.types.registry import FunctionContext

_DATA: Final = "0123456789.,+-"
_DIGITS: Final = "0123456789"


class _Reader:
    """One text; ``sign`` and ``digits`` are what was found so far."""

    def __init__(self, text: str, shape: Shape) -> None:
        self.text, self.shape = text, shape
        self.place = 0
        self.sign = " "
        self.digits: list[str] = []
        self.whole = self.fraction = 0
        self.point_read = False

    @property
    def char(self) -> str:
        """The next character; nothing at the end."""
        return self.text[self.place : self.place + 1]

    def run(self, pieces: list[Node]) -> None:
        for node in paced(pieces):
            if self.place >= len(self.text):
                return
            if node.kind is not Kind.PATTERN or self.pattern(node.text.upper()):
                self.place += 1

    def pattern(self, key: str) -> bool:
        """Read what a pattern stands for; whether one character more is to be passed over."""
        if key in ("9", "0", ".", "D"):
            self.figure(key)
            return True
        if key in (",", "G"):
            return self.char == "," and not self.shape.fill
        if key == "L":
            self.pass_over(1)
        elif key == "TH":
            if not (self.shape.roman or self.shape.has_point):
                self.pass_over(2)
        elif key in ("MI", "PL", "SG"):
            signs = {"MI": "-", "PL": "+", "SG": "+-"}[key]
            if self.char in signs:
                self.sign = self.char
                return True
            self.pass_over(1)
        return False

    def pass_over(self, count: int) -> None:
        """Skip up to ``count`` characters that can be no part of a number."""
        while count and self.char and self.char not in _DATA:
            self.place += 1
            count -= 1

    def figure(self, key: str) -> None:
        """A digit or the point, with a sign before or behind it."""
        if self.char == " ":
            self.place += 1
        if not self.char:
            return
        if self.sign == " " and key in ("9", "0") and not self.whole + self.fraction:
            self.sign_before()
        if not self.char:
            return
        read = False
        if self.char in _DIGITS:
            if self.point_read and self.fraction == self.shape.fraction:
                return
            self.digits.append(self.char)
            self.fraction += self.point_read
            self.whole += not self.point_read
            read = True
        elif self.shape.has_point and not self.point_read and self.char == ".":
            self.digits.append(".")
            self.point_read = read = True
        if self.sign == " " and self.whole + self.fraction:
            self.sign_behind(read)

    def sign_before(self) -> None:
        shape, char = self.shape, self.char
        if shape.has_sign and shape.sign == "before":
            if char in "+-":
                self.sign = char
                self.place += 1
        elif char == "-" or (shape.bracket and char == "<"):
            self.sign = "-"
            self.place += 1
        elif char == "+":
            self.sign = "+"
            self.place += 1

    def sign_behind(self, read: bool) -> None:
        shape, following = self.shape, self.text[self.place + 1 : self.place + 2]
        if shape.has_sign and read:
            if following and following in "+-":
                self.sign = following
                self.place += 1
        elif not read and not shape.has_sign and (shape.plus or shape.minus) and self.char in "+-":
            self.sign = self.char


def _to_number(context: FunctionContext, text: str, template: str) -> Decimal | None:
    """NULL for an empty template; 0A000 for patterns that are written only; 22P02 where no number is found."""
    if not template:
        return None
    if len(text) <= len(template) < 16 and text.isascii() and text.isdigit() and not template.strip("90"):
        return Decimal(text)
    pieces, shape = number_template(template)
    if shape.scientific:
        raise NotSupported('"EEEE" not supported for input')
    if shape.roman:
        raise NotSupported('"RN" not supported for input')
    reader = _Reader(text, shape)
    reader.run(pieces)
    digits = joined(reader.digits)
    found = reader.sign + (digits[:-1] if digits.endswith(".") else digits)
    precision = shape.whole + shape.shift + reader.fraction
    value = numeric_in(found, (precision << 16 | reader.fraction) + 4, context.env)
    return multiply(value, power(Decimal(10), Decimal(-shape.shift))) if shape.shifted else value


fn(1777, "to_number(text, text) numeric stable", _to_number, needs_context=True)

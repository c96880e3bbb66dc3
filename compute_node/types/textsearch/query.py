"""tsquery: lexemes joined by ``& | ! <->`` (manual, 8.11.2).

text → ``Reader`` (a token at a time, operators on a stack) → ``Node`` → text. Operators bind ``!``, ``<->``, ``&``,
``|``, the tightest first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from aurora.datum import Datum, Row
from aurora.errors import (
    InternalError,
    InvalidParameterValue,
    ProgramLimitExceeded,
    SqlError,
    SqlSyntaxError,
    StatementTooComplex,
)
from compute_node.types.array import make_array_type
from compute_node.types.common import WHITESPACE, decode_utf8
from compute_node.types.declare import comparisons, fn, operator_classes, operators
from compute_node.types.registry import REGISTRY, PgType, TypeEnv
from compute_node.types.textsearch.scan import LEXEME_BYTES_MAX, Scanner
from compute_node.types.textsearch.vector import quoted

NOT, AND, OR, PHRASE = 1, 2, 3, 4
"""As in the binary form."""
PRIORITY: Final = {OR: 1, AND: 2, PHRASE: 3, NOT: 4}
DISTANCE_MAX: Final = 16384
_SIGNS: Final = {AND: "&", OR: "|"}
_PHRASE = re.compile(r"<(?:-|([0-9]+))>")
_WEIGHT_BITS: Final = {"a": 8, "b": 4, "c": 2, "d": 1}


class Node:
    """A lexeme (``operator`` 0) or an operator. ``weights``: bit 3 is A, 0 is D; 0: any. NOT has its operand right."""

    __slots__ = ("distance", "left", "lexeme", "operator", "prefix", "right", "weights")

    def __init__(self, lexeme: str, weights: int = 0, prefix: bool = False) -> None:
        self.operator, self.lexeme, self.weights, self.prefix = 0, lexeme, weights, prefix
        self.left: Node | None = None
        self.right: Node | None = None
        self.distance = 0

    @classmethod
    def join(cls, operator: int, left: Node | None, right: Node, distance: int = 0) -> Node:
        """An operator over its operands."""
        made = cls("")
        made.operator, made.left, made.right = operator, left, right
        made.distance = distance if operator == PHRASE else 0
        return made


class TsQuery:
    """A query; ``root`` None: an empty one."""

    __slots__ = ("_key", "root")

    def __init__(self, root: Node | None) -> None:
        self.root = root
        self._key: bytes | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TsQuery) and self.key == other.key and send(self) == send(other)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"TsQuery({text_of(self)})"

    def __reduce__(self) -> Row:
        return receive, (send(self), -1)

    @property
    def key(self) -> bytes:
        """memcmp key in PostgreSQL's order."""
        if self._key is None:
            self._key = bounded(_key_of)(self.root)
        return self._key


def too_deep() -> SqlError:
    """54001"""
    return StatementTooComplex(
        "stack depth limit exceeded",
        hint='Increase the configuration parameter "max_stack_depth" (currently 2048kB), '
        "after ensuring the platform's stack depth limit is adequate.",
    )


def bounded(function: Callable[..., Datum]) -> Callable[..., Datum]:
    """A recursive function that refuses what is nested too deeply."""

    def run(*arguments: Any) -> Datum:
        try:
            return function(*arguments)
        except RecursionError:
            raise too_deep() from None

    return run


def nodes(root: Node | None) -> Iterator[Node]:
    """All nodes, an operator before its operands, the right operand first (the order of the binary form)."""
    left = [] if root is None else [root]
    while left:
        node = left.pop()
        yield node
        if node.left is not None:
            left.append(node.left)
        if node.right is not None:
            left.append(node.right)


# Text


Push = Callable[[str, int, bool], Node | None]


class Reader:
    """A text → a tree; ``operand`` makes a node of a lexeme, None where there is nothing to look for."""

    def __init__(self, text: str, operand: Push) -> None:
        self.text, self.operand = text, operand
        self.scanner = Scanner(text, True)
        self.first = True
        self.depth = 0

    def wrong(self) -> SqlError:
        """42601"""
        return SqlSyntaxError(f'syntax error in tsquery: "{self.text}"')

    def _blank(self) -> str:
        """The next character that is no blank; empty at the end."""
        text = self.text
        while self.scanner.at < len(text) and text[self.scanner.at] in WHITESPACE:
            self.scanner.at += 1
        return text[self.scanner.at] if self.scanner.at < len(text) else ""

    def read(self) -> tuple[Node | None, bool]:
        """The whole text: the tree (None where operands were dropped), whether there was any operand."""
        if not self._blank():
            return None, False
        found = self._expression(1)
        if self._blank():
            raise self.wrong()
        return found, True

    def _expression(self, priority: int) -> Node | None:
        self.depth += 1
        left = self._operand()
        while True:
            char = self._blank()
            start = self.scanner.at
            operator, distance = self._operator(char)
            if not operator or PRIORITY[operator] < priority:
                self.scanner.at = start
                break
            right = self._expression(PRIORITY[operator] + 1)
            left = combined(operator, left, right, distance)
        self.depth -= 1
        return left

    def _operator(self, char: str) -> tuple[int, int]:
        if char in ("&", "|"):
            self.scanner.at += 1
            return (AND if char == "&" else OR), 0
        if char == "<":
            match = _PHRASE.match(self.text, self.scanner.at)
            if match is None:
                raise self._bad_distance()
            distance = int(match[1][-300:]) if match[1] else 1
            self.scanner.at = match.end()
            if distance > DISTANCE_MAX:
                raise distance_error()
            if match.end() == len(self.text):
                raise self.wrong()  # PostgreSQL reads the operator by the character after it
            return PHRASE, distance
        if char and char != ")":
            raise self.wrong()
        return 0, 0

    def _bad_distance(self) -> SqlError:
        digits = re.compile(r"<([0-9]+)").match(self.text, self.scanner.at)
        is_large = digits is not None and int(digits[1][-300:]) > DISTANCE_MAX
        return distance_error() if is_large else self.wrong()

    def _operand(self) -> Node | None:
        char = self._blank()
        if char == "!":
            self.scanner.at += 1
            operand = self._not_operand()
            return None if operand is None else Node.join(NOT, None, operand)
        if char == "(":
            self.scanner.at += 1
            found = self._expression(1)
            if self._blank() != ")":
                raise self.wrong()
            self.scanner.at += 1
            return found
        if char == ":":
            raise self.wrong()
        scanned = self.scanner.take()
        if scanned is None:
            raise SqlSyntaxError(f'no operand in tsquery: "{self.text}"')
        weights, prefix = self._modifiers()
        return self.operand(scanned.lexeme, weights, prefix)

    def _not_operand(self) -> Node | None:
        self.depth += 1
        found = self._operand()
        self.depth -= 1
        return found

    def _modifiers(self) -> tuple[int, bool]:
        """``:AB*``"""
        text, scanner = self.text, self.scanner
        weights, prefix = 0, False
        if scanner.at < len(text) and text[scanner.at] == ":":
            scanner.at += 1
            while scanner.at < len(text):
                char = text[scanner.at].lower()
                if char == "*":
                    prefix = True
                elif char in _WEIGHT_BITS:
                    weights |= _WEIGHT_BITS[char]
                else:
                    break
                scanner.at += 1
        return weights, prefix


def combined(operator: int, left: Node | None, right: Node | None, distance: int) -> Node | None:
    """Operands of which one may have been dropped."""
    if left is None or right is None:
        return right if left is None else left
    return Node.join(operator, left, right, distance)


def distance_error() -> SqlError:
    """22023"""
    return InvalidParameterValue(
        f"distance in phrase operator must be an integer value between zero and {DISTANCE_MAX} inclusive"
    )


def checked_lexeme(lexeme: str, weights: int, prefix: bool, text: str) -> Node:
    """54000 for a lexeme that is too long."""
    if len(lexeme.encode()) > LEXEME_BYTES_MAX:
        raise ProgramLimitExceeded(f'word is too long in tsquery: "{text}"')
    return Node(lexeme, weights, prefix)


def tsquery_in(text: str, typmod: int, env: TypeEnv) -> TsQuery:
    """Text input: 42601, 22023, 54000."""
    reader = Reader(text, lambda lexeme, weights, prefix: checked_lexeme(lexeme, weights, prefix, text))
    return TsQuery(bounded(reader.read)()[0])


def text_of(query: TsQuery) -> str:
    """Text output."""
    out: list[str] = []
    if query.root is not None:
        bounded(_write)(query.root, -1, False, out)
    return "".join(out)


def _write(node: Node, parent: int, in_phrase: bool, out: list[str]) -> None:
    if not node.operator:
        out.append(quoted(node.lexeme))
        if node.weights or node.prefix:
            letters = "".join(letter for letter, bit in (("A", 8), ("B", 4), ("C", 2), ("D", 1)) if node.weights & bit)
            out.append(":" + "*" * node.prefix + letters)
        return
    priority = PRIORITY[node.operator]
    brackets = priority < parent or (node.operator == PHRASE and in_phrase)
    out.append("( " * brackets)
    if node.operator == NOT:
        out.append("!")
    elif node.left is not None:
        _write(node.left, priority, False, out)
        out.append(f" {_sign(node)} ")
    if node.right is not None:
        _write(node.right, priority, node.operator == PHRASE, out)
    out.append(" )" * brackets)


def _sign(node: Node) -> str:
    if node.operator != PHRASE:
        return _SIGNS[node.operator]
    return "<->" if node.distance == 1 else f"<{node.distance}>"


# Binary form: i32 count; a node: 1, u8 weights, u8 prefix, lexeme, NUL; or 2, u8 operator, u16 distance of a phrase.


def send(query: TsQuery) -> bytes:
    """Binary and stored form."""
    out, count = [b""], 0
    for node in nodes(query.root):
        count += 1
        if not node.operator:
            out += (bytes((1, node.weights, node.prefix)), node.lexeme.encode(), b"\0")
        else:
            out.append(
                bytes((2, node.operator)) + (struct.pack(">H", node.distance) if node.operator == PHRASE else b"")
            )
    out[0] = struct.pack(">i", count)
    return b"".join(out)


def receive(data: bytes, typmod: int) -> TsQuery:
    """XX000 for what is not well formed."""
    data = bytes(data)
    try:
        (count,) = struct.unpack_from(">i", data)
        if not 0 <= count <= len(data):
            raise InternalError("invalid size of tsquery")
        if not count:
            return TsQuery(None)
        read, at = [], 4
        for _ in range(count):
            node, at = _receive_node(data, at)
            read.append(node)
    except (struct.error, ValueError, IndexError):
        raise InternalError("malformed tsquery: operand not found") from None
    return TsQuery(_linked(read))


def _receive_node(data: bytes, at: int) -> tuple[Node, int]:
    if data[at] == 1:
        end = data.index(b"\0", at + 3)
        if data[at + 1] > 0xF:
            raise InternalError("invalid tsquery: invalid weight bitmap")
        if end - at - 3 > LEXEME_BYTES_MAX:
            raise InternalError("invalid tsquery: operand too long")
        return Node(decode_utf8(data[at + 3 : end]), data[at + 1], data[at + 2] != 0), end + 1
    if data[at] != 2:
        raise InternalError(f"unrecognized tsquery node type: {data[at]}")
    node = Node("")
    node.operator = data[at + 1]
    if node.operator not in PRIORITY:
        raise InternalError(f"invalid tsquery: unrecognized operator type: {node.operator}")
    if node.operator == PHRASE:
        (node.distance,) = struct.unpack_from(">H", data, at + 2)
        return node, at + 4
    return node, at + 2


def _linked(read: list[Node]) -> Node:
    """A tree of nodes in the order of the binary form."""
    stack: list[Node] = []
    for node in reversed(read):
        if node.operator:
            if len(stack) < (1 if node.operator == NOT else 2):
                raise InternalError("malformed tsquery: operand not found")
            node.right = stack.pop()
            if node.operator != NOT:
                node.left = stack.pop()
        stack.append(node)
    if len(stack) != 1:
        raise InternalError("malformed tsquery: extra nodes")
    return stack[0]


# Order


def _crc_table() -> list[int]:
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
        table.append(value)
    return table


_CRC: Final = _crc_table()


def lexeme_crc(lexeme: str) -> int:
    """The signed checksum by which PostgreSQL orders lexemes in queries: a reflected table used the other way round."""
    crc = 0xFFFFFFFF
    for byte in lexeme.encode():
        crc = _CRC[(crc >> 24) ^ byte] ^ (crc << 8 & 0xFFFFFFFF)
    crc ^= 0xFFFFFFFF
    return crc - (1 << 32) if crc >> 31 else crc


def node_key(node: Node) -> bytes:
    """memcmp key of a tree in PostgreSQL's order: operators before lexemes, the right operand first."""
    if not node.operator:
        crc = lexeme_crc(node.lexeme)
        return b"\1" + (0x7FFFFFFF - crc).to_bytes(4, "big") + node.lexeme.encode() + b"\0"
    distance = struct.pack(">H", 0xFFFF - node.distance) if node.operator == PHRASE else b""
    operands = b"".join(node_key(each) for each in (node.right, node.left) if each is not None)
    return bytes((0, 255 - node.operator)) + operands + distance


def _key_of(root: Node | None) -> bytes:
    count, size = 0, 8
    for node in nodes(root):
        count += 1
        size += 12 + (0 if node.operator else len(node.lexeme.encode()) + 1)
    return struct.pack(">II", count, size) + (b"" if root is None else node_key(root))


TSQUERY = REGISTRY.add_type(
    PgType(
        oid=3615,
        name="tsquery",
        length=-1,
        by_value=False,
        category="U",
        array=3645,
        input=tsquery_in,
        output=lambda value, env: text_of(value),
        text_bytes=lambda value: text_of(value).encode(),
        receive=receive,
        send=send,
        disk="x",
        to_disk=send,
        from_disk=lambda data: receive(data, -1),
        sort_key=lambda value: value.key,
        sort_value=lambda value: value.key,
    )
)
REGISTRY.add_type(make_array_type(TSQUERY))
comparisons(
    """
3662 tsquery_lt(tsquery, tsquery) bool
3663 tsquery_le(tsquery, tsquery) bool
3664 tsquery_eq(tsquery, tsquery) bool
3665 tsquery_ne(tsquery, tsquery) bool
3666 tsquery_ge(tsquery, tsquery) bool
3667 tsquery_gt(tsquery, tsquery) bool
3668 tsquery_cmp(tsquery, tsquery) int4
""",
    lambda value: value.key,
)
fn(3640, "tsquerysend(tsquery) bytea", send)
operators("""
3674 tsquery < tsquery bool 3662 commutator=3679 negator=3678
3675 tsquery <= tsquery bool 3663 commutator=3678 negator=3679
3676 tsquery = tsquery bool 3664 commutator=3676 negator=3677 merges
3677 tsquery <> tsquery bool 3665 commutator=3677 negator=3676
3678 tsquery >= tsquery bool 3666 commutator=3675 negator=3674
3679 tsquery > tsquery bool 3667 commutator=3674 negator=3675
""")
operator_classes("""
10074 tsquery_ops 3683 tsquery_ops tsquery 403 default 3674,3675,3676,3678,3679 3668
""")

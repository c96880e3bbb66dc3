"""What functions in the language internal run besides the built-in ones: symbol → code, for the scripts of extensions.

A symbol is declared beside its code, as a built-in function is, but without OID, types, strictness and volatility:
these are in the row of pg_proc that the script of the extension makes, and go over what is declared here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aurora.datum import Datum
from aurora.errors import InvariantViolation, NotSupported
from compute_node.types.registry import Function, FunctionContext, PgType
from compute_node.types.textsearch.dictionaries import Dictionary, Find
from compute_node.types.textsearch.templates import Options

LIBRARY: Final[dict[tuple[str, int], Function]] = {}
"""(symbol, number of arguments) → its code"""
BASE_TYPES: Final[dict[str, PgType]] = {}
"""symbol of an input function → the type that it reads: its codec, order and forms, whatever its name and OID"""
ORDERS: Final[dict[str, str]] = {}
"""symbol of a B-tree's comparison → the one that has the same order and is the default class's"""
CLASS_CODES: Final[dict[str, int]] = {}
"""symbol of a support function → the code of the operator classes of GIN or GiST that have it (``IndexDesc.codes``)"""
ESTIMATORS: Final[dict[str, int]] = {}
"""symbol of an operator's estimator → the built-in one that says the same"""
TEMPLATES: Final[dict[str, Callable[[Options, Find], Dictionary]]] = {}
"""symbol of a text search template's LEXIZE function → what makes a dictionary of its options"""

_ANY: Final = 0


def define(symbol: str, arguments: int, implementation: Callable[..., Datum], **extra: Any) -> None:
    """Declare the code of one symbol; ``extra`` are further fields of ``Function`` (``needs_context``,
    ``specialize`` …). InvariantViolation for one that is there."""
    if (symbol, arguments) in LIBRARY:
        raise InvariantViolation(f"symbol {symbol} of {arguments} arguments is declared twice")
    LIBRARY[symbol, arguments] = Function(
        oid=0, name=symbol, arguments=(_ANY,) * arguments, result=_ANY, implementation=implementation, **extra
    )


def supports(block: str) -> None:
    """Declare symbols that only an index method would call, a line of ``symbol arguments …`` pairs each: the method has
    its own code, and a call by SQL, which has no values of type internal, is 0A000."""
    words = block.split()
    for symbol, count in zip(words[::2], words[1::2], strict=True):
        define(symbol, int(count), _only_methods(symbol))


def _only_methods(symbol: str) -> Callable[..., Datum]:
    def refuse(*_: Datum) -> Datum:
        raise NotSupported(f"function {symbol} is for index methods alone")

    return refuse


def base_type(item: PgType, reads: str, writes: str, receives: str = "", sends: str = "") -> None:
    """Declare the type whose input function has the symbol ``reads``, and the symbols of its functions."""
    if reads in BASE_TYPES:
        raise InvariantViolation(f"input function {reads} is declared twice")
    BASE_TYPES[reads] = item

    def read(context: FunctionContext, text: str, element: int = 0, typmod: int = -1) -> Datum:
        return item.input(text, typmod, context.env)

    def write(context: FunctionContext, value: Datum) -> Datum:
        return item.output(value, context.env)

    define(reads, 1, read, needs_context=True)
    define(writes, 1, write, needs_context=True)
    if receives:
        define(receives, 1, _only_methods(receives))
    if sends and item.send is not None:
        define(sends, 1, item.send)

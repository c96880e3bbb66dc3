"""One collation, and a type under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aurora.datum import Datum
from aurora.errors import IndeterminateCollation, SqlError
from compute_node.types import ctype
from compute_node.types.array import array_key, array_order
from compute_node.types.collation.icu_ import IcuLocale, icu_locale
from compute_node.types.common import string_key
from compute_node.types.oids import BPCHAR
from compute_node.types.registry import PgType

DEFAULT = 100
INDETERMINATE = -1
"""Stands for the collation of an expression whose parts disagree: an error once somebody compares by it."""
CODE_POINTS = frozenset({0, 100, 950, 951})
"""the built-in collations that every order of plain types is"""
_TYPE_BITS = 32


def collated(type_oid: int, collation: int) -> int:
    """The number of a type under a collation; the type's own for collation 0."""
    return type_oid & 0xFFFFFFFF | collation << _TYPE_BITS


def collation_of(number: int) -> int:
    """The collation in such a number; 0 for a type's own."""
    return number >> _TYPE_BITS


def plain(number: int) -> int:
    """The type in such a number."""
    return number & 0xFFFFFFFF


def _ascii_lower(text: str) -> str:
    return text.encode().lower().decode()


def _ascii_upper(text: str) -> str:
    return text.encode().upper().decode()


@dataclass(frozen=True, slots=True)
class Collation:
    """One row of pg_collation. ``locale``: ICU's name of it, or LC_COLLATE; ``ctype``: LC_CTYPE of the C library."""

    oid: int
    name: str
    namespace: int
    provider: str
    deterministic: bool
    locale: str | None = None
    ctype: str | None = None
    version: str | None = None

    @property
    def orders(self) -> bool:
        """Whether its order is another than that of code points."""
        return self.provider == "i" or self.oid == INDETERMINATE

    @property
    def cases(self) -> bool:
        """Whether letters are other characters, or have another case, than by default."""
        return self.provider != "d" and self.ctype not in ("C.UTF-8", "C.utf8")

    @property
    def has_ascii_letters(self) -> bool:
        """Whether letters beyond ASCII are none."""
        return self.provider == "c" and self.cases

    @property
    def icu(self) -> IcuLocale:
        """The locale of a collation of ICU; 0A000 without the library."""
        return icu_locale(self.locale or "")

    def refusal(self, use: str = "string comparison") -> SqlError:
        """42P22: which collation holds is not known."""
        return IndeterminateCollation(
            f"could not determine which collation to use for {use}",
            hint="Use the COLLATE clause to set the collation explicitly.",
        )

    def order(self) -> Callable[[str], Datum] | None:
        """A key function: keys that ``<`` and ``==`` compare as the collation says; None when the texts will do. Texts
        that a deterministic collation holds for equal are ordered by their bytes."""
        if self.oid == INDETERMINATE:

            def refuse(text: str) -> Datum:
                raise self.refusal()

            return refuse
        if not self.orders:
            return None
        sort_key = self.icu.sort_key
        return (lambda text: (sort_key(text), text)) if self.deterministic else sort_key

    def index_key(self) -> Callable[[str], bytes]:
        """The same as bytes, for indexes: ICU's sort key, which ends with a zero byte and has none inside, then the
        text where the collation is deterministic."""
        if not self.orders:
            return string_key
        sort_key = self.icu.sort_key
        if not self.deterministic:
            return sort_key
        return lambda text: sort_key(text) + string_key(text)

    def lower(self) -> Callable[[str], str]:
        """``lower()``."""
        if self.provider == "i":
            return self.icu.lower
        return _ascii_lower if self.cases else ctype.lower

    def upper(self) -> Callable[[str], str]:
        """``upper()``."""
        if self.provider == "i":
            return self.icu.upper
        return _ascii_upper if self.cases else ctype.upper


UNDETERMINED = Collation(INDETERMINATE, "", 11, "", True)


def collated_type(kind: PgType, collation: Collation) -> PgType:
    """The type under a collation: its values are the same, their order is the collation's. Arrays are ordered by their
    elements; a type that has nothing to do with collations is itself."""
    root = kind.root
    if root.element_type is not None and root.length == -1:
        element = collated_type(root.element_type, collation)
        if element is root.element_type:
            return kind
        key = array_key(element)
        return replace(kind, sort_value=array_order(element), sort_key=key, element_type=element, collated=collation)
    if not root.collation:
        return kind
    order, index_key = collation.order(), collation.index_key() if collation.oid != INDETERMINATE else string_key
    if root.oid == BPCHAR:
        by_blank = order or (lambda text: text)
        return replace(
            kind,
            sort_value=lambda text: by_blank(text.rstrip(" ")),
            sort_key=lambda text: index_key(text.rstrip(" ")),
            collated=collation,
        )
    folded = root.sort_value
    if root.oid >= 16384 and folded is not None:
        # An extension's, which looks at a form of the text.
        by_form = order or (lambda text: text)
        return replace(
            kind,
            sort_value=lambda text: by_form(folded(text)),
            sort_key=lambda text: index_key(folded(text)),
            collated=collation,
        )
    return replace(kind, sort_value=order, sort_key=index_key, collated=collation)

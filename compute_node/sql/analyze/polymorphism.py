"""Polymorphic signatures: argument types, declared types → what each pseudo-type stands for (manual, 38.2.5).

There are two families. In the first (anyelement, anyarray, anynonarray, anyenum, anyrange, anymultirange) all arguments
agree exactly; in the second (anycompatible…) they have a common type, to which they are converted. Within a family an
array, a range and a multirange belong to one element type. ``unify`` asks whether a call fits, for the choice among
candidates; ``resolve`` then settles the types of the one that was chosen, with PostgreSQL's errors (42804, 42704).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aurora.errors import DatatypeMismatch, SqlError, UndefinedObject
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.catalog_view import CatalogView
from compute_node.types import oids

ANYENUM, ANYRANGE, ANYMULTIRANGE = 3500, 3831, 4537
ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYCOMPATIBLENONARRAY = 5077, 5078, 5079
ANYCOMPATIBLERANGE, ANYCOMPATIBLEMULTIRANGE = 5080, 4538

NAMES: Final[dict[int, str]] = {
    oids.ANYELEMENT: "anyelement",
    oids.ANYARRAY: "anyarray",
    oids.ANYNONARRAY: "anynonarray",
    ANYENUM: "anyenum",
    ANYRANGE: "anyrange",
    ANYMULTIRANGE: "anymultirange",
    ANYCOMPATIBLE: "anycompatible",
    ANYCOMPATIBLEARRAY: "anycompatiblearray",
    ANYCOMPATIBLENONARRAY: "anycompatiblenonarray",
    ANYCOMPATIBLERANGE: "anycompatiblerange",
    ANYCOMPATIBLEMULTIRANGE: "anycompatiblemultirange",
}
POLYMORPHIC: Final = frozenset(NAMES)
_COMPATIBLE: Final = frozenset(
    {ANYCOMPATIBLE, ANYCOMPATIBLEARRAY, ANYCOMPATIBLENONARRAY, ANYCOMPATIBLERANGE, ANYCOMPATIBLEMULTIRANGE}
)
EXACT: Final = POLYMORPHIC - _COMPATIBLE
"""the first family"""

# What part of a family a pseudo-type is.
_ELEMENT, _ARRAY, _RANGE, _MULTIRANGE = "element", "array", "range", "multirange"
_PARTS: Final[dict[int, str]] = {
    oids.ANYELEMENT: _ELEMENT,
    oids.ANYNONARRAY: _ELEMENT,
    ANYENUM: _ELEMENT,
    oids.ANYARRAY: _ARRAY,
    ANYRANGE: _RANGE,
    ANYMULTIRANGE: _MULTIRANGE,
    ANYCOMPATIBLE: _ELEMENT,
    ANYCOMPATIBLENONARRAY: _ELEMENT,
    ANYCOMPATIBLEARRAY: _ARRAY,
    ANYCOMPATIBLERANGE: _RANGE,
    ANYCOMPATIBLEMULTIRANGE: _MULTIRANGE,
}
ELEMENTS: Final = frozenset({oids.ANYELEMENT, oids.ANYNONARRAY, ANYCOMPATIBLE, ANYCOMPATIBLENONARRAY})
"""those that an unknown literal passes for; the others have an input function, which refuses it"""


class Mismatch(NamedTuple):
    """Why argument types do not fit. ``types`` are shown as its detail."""

    message: str
    types: tuple[int, ...] = ()


@dataclass(slots=True)
class Generics:
    """What the pseudo-types of one family stand for; 0 where nothing says so (yet)."""

    prefix: str
    declared: frozenset[int]
    element: int = 0
    array: int = 0
    range: int = 0
    multirange: int = 0
    candidates: list[int] = field(default_factory=list)
    """of the second family: the types that need a common one"""

    def name(self, part: str) -> str:
        """A pseudo-type of this family, by its part."""
        return self.prefix if part == _ELEMENT and self.prefix != "any" else f"{self.prefix}{part}"


def element_of(catalog: CatalogView, oid: int) -> int:
    """The element type of an array, of a vector too; 0 of another type."""
    kind = catalog.type(oid)
    return kind.element if kind.length == -1 else 0


def _is_array(catalog: CatalogView, oid: int) -> bool:
    return bool(element_of(catalog, catalog.type(oid).root.oid))


def subtype_of(catalog: CatalogView, oid: int) -> int:
    """The subtype of a range type; 0 of another type."""
    kind = catalog.type(oid)
    return kind.range_form.subtype.oid if kind.kind == "r" and kind.range_form is not None else 0


def range_of(catalog: CatalogView, oid: int) -> int:
    """The range type of a multirange type; 0 of another type."""
    kind = catalog.type(oid)
    return kind.range_form.range if kind.kind == "m" and kind.range_form is not None else 0


def multirange_of(catalog: CatalogView, oid: int) -> int:
    """The multirange type of a range type; 0 of another type."""
    kind = catalog.type(oid)
    return kind.range_form.multirange if kind.kind == "r" and kind.range_form is not None else 0


def _not_a(catalog: CatalogView, declared: str, what: str, oid: int) -> Mismatch:
    return Mismatch(f"argument declared {declared} is not {what} but type {format_type(catalog, oid)}")


def _gather(catalog: CatalogView, family: Generics, pairs: Sequence[tuple[int, int]]) -> Mismatch | None:
    """Note what the arguments say of the family, each by itself."""
    exact = family.prefix == "any"
    for source, target in pairs:
        part = _PARTS[target]
        if source == oids.UNKNOWN or source == target != oids.ANYARRAY:
            continue
        if part != _ELEMENT:
            # A domain over an array or a range is one.
            source = catalog.type(source).root.oid
        if part == _ELEMENT and not exact:
            family.candidates.append(source)
        elif part == _ARRAY and not exact:
            element = element_of(catalog, source)
            if not element:
                return _not_a(catalog, "anycompatiblearray", "an array", source)
            family.candidates.append(element)
        else:
            known = getattr(family, part)
            if known and known != source:
                return Mismatch(f'arguments declared "{family.name(part)}" are not all alike', (known, source))
            setattr(family, part, source)
    return None


def _link_ranges(catalog: CatalogView, family: Generics) -> tuple[int, Mismatch | None]:
    """The range type follows from the multirange type. Gives the subtype, 0 without ranges."""
    if family.multirange:
        found = range_of(catalog, family.multirange)
        if not found:
            return 0, _not_a(catalog, family.name(_MULTIRANGE), "a multirange type", family.multirange)
        if family.range and family.range != found:
            names = f"{family.name(_MULTIRANGE)} is not consistent with argument declared {family.name(_RANGE)}"
            return 0, Mismatch(f"argument declared {names}", (family.multirange, family.range))
        family.range = found
    if not family.range:
        return 0, None
    subtype = subtype_of(catalog, family.range)
    if not subtype:
        return 0, _not_a(catalog, family.name(_RANGE), "a range type", family.range)
    family.multirange = family.multirange or multirange_of(catalog, family.range)
    return subtype, None


def _settle_exact(catalog: CatalogView, family: Generics) -> Mismatch | None:
    """The first family: array and range say what the element type is, and must agree."""
    links: list[tuple[str, int, int]] = []
    if family.array and family.array != oids.ANYARRAY:
        element = element_of(catalog, family.array)
        if not element:
            return _not_a(catalog, "anyarray", "an array", family.array)
        links.append(("anyarray", family.array, element))
    subtype, wrong = _link_ranges(catalog, family)
    if wrong is not None:
        return wrong
    if subtype:
        links.append(("anyrange", family.range, subtype))
    for name, whole, element in links:
        if family.element and family.element != element:
            return Mismatch(
                f"argument declared {name} is not consistent with argument declared anyelement",
                (whole, family.element),
            )
        family.element = element
    if family.element:
        shown = format_type(catalog, family.element)
        if oids.ANYNONARRAY in family.declared and _is_array(catalog, family.element):
            return Mismatch(f"type matched to anynonarray is an array type: {shown}")
        if ANYENUM in family.declared and catalog.type(family.element).kind != "e":
            return Mismatch(f"type matched to anyenum is not an enum type: {shown}")
    return None


def _settle_compatible(catalog: CatalogView, family: Generics) -> Mismatch | None:
    """The second family: the common type of all; that of ranges must be their subtype."""
    from compute_node.sql.analyze.coercion import common_type

    subtype, wrong = _link_ranges(catalog, family)
    if wrong is not None:
        return wrong
    candidates = [*family.candidates, subtype] if subtype else family.candidates
    if not candidates:
        return None
    found = common_type(catalog, candidates)
    if isinstance(found, tuple):
        names = " and ".join(format_type(catalog, oid) for oid in found)
        return Mismatch(f"argument types {names} cannot be matched")
    if not found:
        return Mismatch("arguments of anycompatible family cannot be cast to a common type")
    family.element = found
    if subtype and subtype != found:
        part = _MULTIRANGE if ANYCOMPATIBLERANGE not in family.declared else _RANGE
        whole = family.multirange if part == _MULTIRANGE else family.range
        return Mismatch(
            f"{family.name(part)} type {format_type(catalog, whole)} does not match anycompatible type "
            f"{format_type(catalog, found)}"
        )
    if ANYCOMPATIBLENONARRAY in family.declared and _is_array(catalog, found):
        return Mismatch(f"type matched to anycompatiblenonarray is an array type: {format_type(catalog, found)}")
    return None


Families = tuple[Generics, Generics]


def unify(catalog: CatalogView, sources: Sequence[int], targets: Sequence[int]) -> Families | Mismatch:
    """What the pseudo-types among ``targets`` stand for, given the arguments' types ``sources``."""
    found = []
    for prefix, members, settle in (("any", EXACT, _settle_exact), ("anycompatible", _COMPATIBLE, _settle_compatible)):
        pairs = [(one, other) for one, other in zip(sources, targets, strict=True) if other in members]
        family = Generics(prefix, frozenset(target for _, target in pairs))
        if pairs:
            wrong = _gather(catalog, family, pairs) or settle(catalog, family)
            if wrong is not None:
                return wrong
        found.append(family)
    return found[0], found[1]


def fits(catalog: CatalogView, sources: Sequence[int], targets: Sequence[int]) -> bool:
    """Whether the arguments agree with the signature: what makes it a candidate."""
    found = unify(catalog, sources, targets)
    if isinstance(found, Mismatch):
        return False
    exact = found[0]
    # An enum must be known to be one.
    return ANYENUM not in exact.declared or bool(exact.element)


def _undetermined(part: str = "") -> SqlError:
    shown = f"{part} " if part else ""
    return DatatypeMismatch(f"could not determine polymorphic type {shown}because input has type unknown")


def _array_of(catalog: CatalogView, element: int) -> int:
    if element == oids.ANYELEMENT:
        return oids.ANYARRAY
    found = catalog.type(element).array
    if not found:
        raise UndefinedObject(f"could not find array type for data type {format_type(catalog, element)}")
    return found


class _Resolution:
    """The types of a call that was chosen."""

    def __init__(self, catalog: CatalogView, families: Families) -> None:
        self.catalog = catalog
        self.exact, self.compatible = families

    def actual(self, target: int) -> int:
        """The type that a pseudo-type stands for; errors when nothing says so."""
        family = self.exact if target in EXACT else self.compatible
        part = _PARTS[target]
        if part == _ELEMENT:
            return family.element
        if part == _ARRAY:
            return family.array or _array_of(self.catalog, family.element)
        found: int = getattr(family, part)
        if not found:
            raise _undetermined(family.name(part))
        return found


def resolve(catalog: CatalogView, sources: Sequence[int], targets: Sequence[int], result: int) -> tuple[list[int], int]:
    """The types to convert the arguments to, and the result's. Arguments of the first family stay what they are, but
    for unknown ones. Raises 42804 and 42704, without a position."""
    found = unify(catalog, sources, targets)
    if isinstance(found, Mismatch):
        detail = " versus ".join(format_type(catalog, oid) for oid in found.types) or None
        raise DatatypeMismatch(found.message, detail=detail)
    exact, compatible = found
    family = NAMES.get(result, "")
    if exact.declared and not exact.element:
        if exact.array == oids.ANYARRAY:
            alone = sum(target in EXACT for target in targets) == 1
            if not alone or (result in EXACT and result != oids.ANYARRAY):
                raise DatatypeMismatch('cannot determine element type of "anyarray" argument')
            exact.element = oids.ANYELEMENT
        elif all(source in POLYMORPHIC for source, target in zip(sources, targets, strict=True) if target in EXACT):
            # The body of a polymorphic function, looked at for no call in particular.
            exact.element, exact.array, exact.range, exact.multirange = (
                oids.ANYELEMENT, oids.ANYARRAY, ANYRANGE, ANYMULTIRANGE,
            )  # fmt: skip
        else:
            raise _undetermined()
    if compatible.declared and not compatible.element:
        compatible.element = oids.TEXT
    resolution = _Resolution(catalog, (exact, compatible))
    types = []
    for source, target in zip(sources, targets, strict=True):
        if target not in POLYMORPHIC:
            types.append(target)
        elif target in EXACT and source != oids.UNKNOWN:
            types.append(source if _PARTS[target] == _ELEMENT else catalog.type(source).root.oid)
        else:
            types.append(resolution.actual(target))
    if not family:
        return types, result
    of = exact if result in EXACT else compatible
    if not of.element:
        raise DatatypeMismatch(f"could not determine polymorphic type {family} because input has type unknown")
    return types, resolution.actual(result)


def signature_problem(result: int, arguments: Sequence[int]) -> str | None:
    """Why a function cannot be declared so: nothing among its input types tells the type of the result. The text is
    the DETAIL of 42P13 ``cannot determine result data type``."""
    if result not in POLYMORPHIC:
        return None
    members = EXACT if result in EXACT else _COMPATIBLE
    needed = [oid for oid in NAMES if oid in members]
    if _PARTS[result] in (_RANGE, _MULTIRANGE):
        needed = [oid for oid in needed if _PARTS[oid] in (_RANGE, _MULTIRANGE)]
    if any(argument in needed for argument in arguments):
        return None
    names = [NAMES[oid] for oid in needed]
    listed = " or ".join(names) if len(names) == 2 else ", ".join(names[:-1]) + f", or {names[-1]}"
    return f"A result of type {NAMES[result]} requires at least one input of type {listed}."

"""The range types: any range type and its multirange type of a ``RangeForm``, and PostgreSQL's six (manual, 8.17.1)."""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import DatetimeFieldOverflow, NumericValueOutOfRange
from aurora.kernels import values
from compute_node.types.calendar_ import DATE_END, DATE_INFINITY, DATE_MINUS_INFINITY
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.ranges.binary import (
    Decode,
    Encode,
    as_received,
    as_stored,
    multirange_decoder,
    multirange_encoder,
    multirange_key,
    multirange_receiver,
    range_decoder,
    range_encoder,
    range_key,
)
from compute_node.types.ranges.text import multirange_input, multirange_output, range_input, range_output
from compute_node.types.ranges.value import (
    EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Multirange,
    Range,
    multirange_order,
    order,
)
from compute_node.types.registry import REGISTRY, Canonical, PgType, RangeForm, TypeEnv

Check = Callable[[Datum, TypeEnv], None]
_NO_LOWER, _NO_UPPER = EMPTY | LOWER_INFINITE, EMPTY | UPPER_INFINITE


def _sent(subtype: PgType) -> tuple[Encode, Decode]:
    """(encode, decode) of a bound for clients; the text where the type has no binary form."""
    if subtype.send is not None and subtype.receive is not None:
        return subtype.send, subtype.receive
    return str.encode, lambda data, typmod: data.decode()


def _stored(subtype: PgType) -> tuple[Encode, Decode]:
    """(encode, decode) of a bound for the stored form."""
    load = subtype.element_value
    if subtype.element_bytes is not None and load is not None:
        decode = load
        return subtype.element_bytes, lambda data, typmod: decode(data)
    return _sent(subtype)


def _check(subtype: PgType) -> Check | None:
    """What the bounds must satisfy, of a domain."""
    test = subtype.check
    if test is None:
        return None

    def check(value: Range | None, env: TypeEnv) -> None:
        for bound, missing in () if value is None else ((value.lower, _NO_LOWER), (value.upper, _NO_UPPER)):
            if value is not None and not value.flags & missing:
                test(bound, env)

    return check


def _check_all(subtype: PgType) -> Check | None:
    test = _check(subtype)
    if test is None:
        return None

    def check(value: Multirange | None, env: TypeEnv) -> None:
        for each in () if value is None else value.ranges:
            test(each, env)

    return check


_WHOLE = frozenset(TYPE_OIDS[name] for name in ("int4", "int8", "date", "timestamp", "timestamptz"))
"""subtypes whose stored bounds are signed integers"""


def _load_whole(general: Callable[[bytes, int], Range]) -> Callable[[bytes], Range]:
    quick = values.whole_range

    def load(data: bytes) -> Range:
        found = quick(data)
        return general(data, -1) if found is None else Range(*found)

    return load


def make_range_type(form: RangeForm, name: str, array: int, namespace: int = 11) -> PgType:
    """The range type of a form."""
    subtype = form.subtype
    encode, decode = _sent(subtype)
    keep, load = _stored(subtype)
    stored = range_decoder(load, as_stored)
    return PgType(
        oid=form.range,
        name=name,
        namespace=namespace,
        array=array,
        length=-1,
        by_value=False,
        category="R",
        kind="r",
        align="d" if subtype.align == "d" else "i",
        storage="x",
        input=range_input(form),
        output=range_output(form),
        receive=range_decoder(decode, as_received(form)),
        send=range_encoder(encode),
        element_bytes=range_encoder(keep),
        element_value=lambda data: stored(data, -1),
        disk="x",
        to_disk=range_encoder(keep),
        from_disk=_load_whole(stored) if subtype.oid in _WHOLE else lambda data: stored(data, -1),
        sort_value=lambda value: order(form, value),
        sort_key=range_key(form),
        range_form=form,
        check=_check(subtype),
        parts=subtype.parts | {subtype.oid},
    )


def make_multirange_type(form: RangeForm, name: str, array: int, namespace: int = 11) -> PgType:
    """The multirange type of a form."""
    subtype = form.subtype
    encode, decode = _sent(subtype)
    keep, load = _stored(subtype)
    store = multirange_encoder(range_encoder(keep))
    stored = multirange_decoder(range_decoder(load, as_stored))
    return PgType(
        oid=form.multirange,
        name=name,
        namespace=namespace,
        array=array,
        length=-1,
        by_value=False,
        category="R",
        kind="m",
        align="d" if subtype.align == "d" else "i",
        storage="x",
        input=multirange_input(form),
        output=multirange_output(form),
        receive=multirange_receiver(form, range_decoder(decode, as_received(form))),
        send=multirange_encoder(range_encoder(encode)),
        element_bytes=store,
        element_value=stored,
        disk="x",
        to_disk=store,
        from_disk=stored,
        sort_value=lambda value: multirange_order(form, value),
        sort_key=multirange_key(form),
        range_form=form,
        check=_check_all(subtype),
        parts=subtype.parts | {subtype.oid},
    )


# Discrete subtypes: bounds become [low,high).


def _next_integer(most: int, name: str) -> Callable[[int], int]:
    def following(value: int) -> int:
        if value >= most:
            raise NumericValueOutOfRange(f"{name} out of range")
        return value + 1

    return following


def _next_day(value: int) -> int:
    if value >= DATE_END - 1:
        raise DatetimeFieldOverflow("date out of range")
    return value + 1


def _counted(following: Callable[[int], int], endless: tuple[int, ...] = ()) -> Canonical:
    """The canonical form of ranges whose values ``following`` counts up; those that are ``endless`` stay."""

    def canonical(lower: int, upper: int, flags: int) -> tuple[int, int, int]:
        if not flags & (LOWER_INFINITE | LOWER_INCLUSIVE) and lower not in endless:
            lower, flags = following(lower), flags | LOWER_INCLUSIVE
        if flags & UPPER_INCLUSIVE and upper not in endless:
            upper, flags = following(upper), flags & ~UPPER_INCLUSIVE
        return lower, upper, flags

    return canonical


CANONICAL: dict[str, Canonical] = {
    "int4range_canonical": _counted(_next_integer(2**31 - 1, "integer")),
    "int8range_canonical": _counted(_next_integer(2**63 - 1, "bigint")),
    "daterange_canonical": _counted(_next_day, (DATE_INFINITY, DATE_MINUS_INFINITY)),
}
"""The built-in canonical functions by their symbol (pg_proc.prosrc)."""

_BUILT_IN = (
    ("int4range", 3904, 3905, "int4multirange", 4451, 6150, "int4", 1978, 3914, 3922),
    ("numrange", 3906, 3907, "nummultirange", 4532, 6151, "numeric", 3125, 0, 3924),
    ("tsrange", 3908, 3909, "tsmultirange", 4533, 6152, "timestamp", 3128, 0, 3929),
    ("tstzrange", 3910, 3911, "tstzmultirange", 4534, 6153, "timestamptz", 3127, 0, 3930),
    ("daterange", 3912, 3913, "datemultirange", 4535, 6155, "date", 3122, 3915, 3925),
    ("int8range", 3926, 3927, "int8multirange", 4536, 6157, "int8", 3124, 3928, 3923),
)
"""Range, its OID, its array, multirange, its OID, its array, subtype, operator class, canonical function,
subtype_diff function."""

for _name, _range, _array, _multi_name, _multi, _multi_array, _subtype, _class, _canonical, _diff in _BUILT_IN:
    _of = REGISTRY.types_by_name[_subtype]
    _form = RangeForm(
        range=_range,
        multirange=_multi,
        subtype=_of,
        key=_of.sort_value,
        bound_key=_of.sort_key,
        canonical=CANONICAL.get(f"{_name}_canonical"),
        operator_class=_class,
        canonical_function=_canonical,
        difference_function=_diff,
    )
    REGISTRY.add_type(make_range_type(_form, _name, _array))
    REGISTRY.add_type(make_multirange_type(_form, _multi_name, _multi_array))

"""Functions of types by name: ``array_out(ARRAY[1])``, ``numerictypmodin('{5,2}')`` (manual, 38.10).

Here are those of the pseudo-types, which write a value as its own type does or refuse it, and the type modifiers';
``compute_node/catalog/io_functions.py`` has the other types'. Those whose type follows from an OID argument
(``array_in``, ``range_in`` …), and the receive functions, are rows without code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aurora.datum import Datum
from aurora.errors import InvariantViolation, NullValueNotAllowed, UndefinedFunction
from compute_node.types.array_value import Array
from compute_node.types.declare import fn, specialized
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, FunctionContext, PgType

Types = tuple[PgType, ...]

_INPUT = """
109 unknownin(cstring) unknown
267 table_am_handler_in(cstring) table_am_handler nullable
326 index_am_handler_in(cstring) index_am_handler nullable
2292 cstring_in(cstring) cstring
2294 any_in(cstring) any
2296 anyarray_in(cstring) anyarray
2298 void_in(cstring) void
2300 trigger_in(cstring) trigger nullable
2302 language_handler_in(cstring) language_handler nullable
2304 internal_in(cstring) internal nullable
2312 anyelement_in(cstring) anyelement
2777 anynonarray_in(cstring) anynonarray
3116 fdw_handler_in(cstring) fdw_handler nullable
3311 tsm_handler_in(cstring) tsm_handler nullable
3504 anyenum_in(cstring) anyenum
3594 event_trigger_in(cstring) event_trigger nullable
3832 anyrange_in(cstring, oid, int4) anyrange stable
4226 anycompatiblemultirange_in(cstring, oid, int4) anycompatiblemultirange stable
4229 anymultirange_in(cstring, oid, int4) anymultirange stable
5086 anycompatible_in(cstring) anycompatible
5088 anycompatiblearray_in(cstring) anycompatiblearray
5092 anycompatiblenonarray_in(cstring) anycompatiblenonarray
5094 anycompatiblerange_in(cstring, oid, int4) anycompatiblerange stable
"""

_OUTPUT = """
110 unknownout(unknown) cstring
268 table_am_handler_out(table_am_handler) cstring
327 index_am_handler_out(index_am_handler) cstring
751 array_out(anyarray) cstring stable
2291 record_out(record) cstring stable
2293 cstring_out(cstring) cstring
2295 any_out(any) cstring
2297 anyarray_out(anyarray) cstring stable
2299 void_out(void) cstring
2301 trigger_out(trigger) cstring
2303 language_handler_out(language_handler) cstring
2305 internal_out(internal) cstring
2313 anyelement_out(anyelement) cstring
2778 anynonarray_out(anynonarray) cstring
3117 fdw_handler_out(fdw_handler) cstring
3312 tsm_handler_out(tsm_handler) cstring
3505 anyenum_out(anyenum) cstring stable
3507 enum_out(anyenum) cstring stable
3595 event_trigger_out(event_trigger) cstring
3833 anyrange_out(anyrange) cstring stable
3835 range_out(anyrange) cstring stable
4227 anycompatiblemultirange_out(anycompatiblemultirange) cstring stable
4230 anymultirange_out(anymultirange) cstring stable
4232 multirange_out(anymultirange) cstring stable
5087 anycompatible_out(anycompatible) cstring
5089 anycompatiblearray_out(anycompatiblearray) cstring stable
5093 anycompatiblenonarray_out(anycompatiblenonarray) cstring
5095 anycompatiblerange_out(anycompatiblerange) cstring stable
"""

_SEND = """
2401 array_send(anyarray) bytea stable
2403 record_send(record) bytea stable
2417 unknownsend(unknown) bytea
2501 cstring_send(cstring) bytea stable
2503 anyarray_send(anyarray) bytea stable
3121 void_send(void) bytea
3533 enum_send(anyenum) bytea stable
3837 range_send(anyrange) bytea stable
4234 multirange_send(anymultirange) bytea stable
5091 anycompatiblearray_send(anycompatiblearray) bytea stable
"""

_MODIFIER_INPUT = """
2902 varbittypmodin(cstring[]) int4
2903 intervaltypmodin(cstring[]) int4
2905 timestamptypmodin(cstring[]) int4
2907 timestamptztypmodin(cstring[]) int4
2909 timetypmodin(cstring[]) int4
2911 timetztypmodin(cstring[]) int4
2913 bpchartypmodin(cstring[]) int4
2915 varchartypmodin(cstring[]) int4
2917 numerictypmodin(cstring[]) int4
2919 bittypmodin(cstring[]) int4
"""

_MODIFIER_OUTPUT = """
2904 intervaltypmodout(int4) cstring
2906 timestamptypmodout(int4) cstring
2908 timestamptztypmodout(int4) cstring
2910 timetypmodout(int4) cstring
2912 timetztypmodout(int4) cstring
2914 bpchartypmodout(int4) cstring
2916 varchartypmodout(int4) cstring
2918 numerictypmodout(int4) cstring
2920 bittypmodout(int4) cstring
2921 varbittypmodout(int4) cstring
"""


def _lines(block: str) -> Iterator[tuple[int, str]]:
    for line in block.strip().splitlines():
        oid, signature = line.split(" ", 1)
        yield int(oid), signature


def _declared(name: str) -> PgType | None:
    """A type by its name; None for one whose family is not here."""
    return REGISTRY.types.get(TYPE_OIDS[name])


def _argument(signature: str) -> PgType | None:
    return _declared(signature[signature.index("(") + 1 : signature.index(")")])


_BY_ARGUMENT = frozenset(
    TYPE_OIDS[name]
    for name in (
        "anyarray", "anycompatiblearray", "anyenum", "anyrange", "anymultirange", "anycompatiblerange",
        "anycompatiblemultirange",
    )
)  # fmt: skip
"""Pseudo-types whose output functions write a value as its own type does; those of the others refuse."""


def _read(kind: PgType) -> Callable[..., Datum]:
    def read(context: FunctionContext, text: str, element: int = 0, typmod: int = -1) -> Datum:
        return kind.input(text, typmod, context.env)

    return read


def _write(kind: PgType) -> Callable[..., str]:
    return lambda context, value: kind.output(value, context.env)


def _send(kind: PgType) -> Callable[..., bytes]:
    send = kind.send
    if send is None:
        raise UndefinedFunction(f"no binary output function available for type {kind.formatted_name or kind.name}")
    return send


def _typmod_in(kind: PgType) -> Callable[[Array], int]:
    read = kind.typmod_in
    if read is None:
        raise InvariantViolation(f"type {kind.name} takes no modifier")
    modifier = read

    def typmod_in(texts: Array) -> int:
        if None in texts:
            raise NullValueNotAllowed("typmod array must not contain nulls")
        return modifier(texts)

    return typmod_in


def _typmod_out(kind: PgType) -> Callable[[int], str]:
    write = kind.typmod_out
    if write is None:
        raise InvariantViolation(f"type {kind.name} takes no modifier")
    return lambda typmod: "" if typmod < 0 else write(typmod)


def _declare() -> None:
    for oid, signature in _lines(_INPUT):
        kind = _declared(signature[signature.index(")") + 2 :].split()[0])
        if kind is not None:
            fn(oid, signature, _read(kind), needs_context=True)
    for oid, signature in _lines(_OUTPUT):
        kind = _argument(signature)
        if kind is not None and kind.oid in _BY_ARGUMENT:
            specialized(oid, signature, lambda types, result: _write(types[0]), needs_context=True)
        elif kind is not None:
            fn(oid, signature, _write(kind), needs_context=True)
    for oid, signature in _lines(_SEND):
        kind = _argument(signature)
        if kind is not None and kind.oid in _BY_ARGUMENT:
            specialized(oid, signature, lambda types, result: _send(types[0]))
        elif kind is not None and kind.send is not None:
            fn(oid, signature, kind.send)
    for block, word, make in ((_MODIFIER_INPUT, "typmodin", _typmod_in), (_MODIFIER_OUTPUT, "typmodout", _typmod_out)):
        for oid, signature in _lines(block):
            kind = _declared(signature.split(word)[0])
            if kind is not None:
                fn(oid, signature, make(kind))


_declare()

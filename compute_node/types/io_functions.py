"""The types' input, output, send and modifier functions by name: ``int4in('1')``, ``numeric_out(1.5)`` (manual, 38.10).

They are made of the types: a line here is a row of pg_proc. Those whose type follows from an OID argument
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
34 namein(cstring) name
38 int2in(cstring) int2
40 int2vectorin(cstring) int2vector
42 int4in(cstring) int4
44 regprocin(cstring) regproc stable
46 textin(cstring) text
48 tidin(cstring) tid
50 xidin(cstring) xid
52 cidin(cstring) cid
54 oidvectorin(cstring) oidvector
109 unknownin(cstring) unknown
117 point_in(cstring) point
119 lseg_in(cstring) lseg
121 path_in(cstring) path
123 box_in(cstring) box
195 pg_node_tree_in(cstring) pg_node_tree
200 float4in(cstring) float4
214 float8in(cstring) float8
267 table_am_handler_in(cstring) table_am_handler nullable
321 json_in(cstring) json
326 index_am_handler_in(cstring) index_am_handler nullable
347 poly_in(cstring) polygon
436 macaddr_in(cstring) macaddr
460 int8in(cstring) int8
886 cash_in(cstring) money stable
910 inet_in(cstring) inet
1031 aclitemin(cstring) aclitem stable
1044 bpcharin(cstring, oid, int4) bpchar
1046 varcharin(cstring, oid, int4) varchar
1084 date_in(cstring) date stable
1143 time_in(cstring, oid, int4) time stable
1150 timestamptz_in(cstring, oid, int4) timestamptz stable
1160 interval_in(cstring, oid, int4) interval stable
1242 boolin(cstring) bool
1244 byteain(cstring) bytea
1245 charin(cstring) char
1267 cidr_in(cstring) cidr
1312 timestamp_in(cstring, oid, int4) timestamp stable
1350 timetz_in(cstring, oid, int4) timetz stable
1450 circle_in(cstring) circle
1490 line_in(cstring) line
1564 bit_in(cstring, oid, int4) bit
1579 varbit_in(cstring, oid, int4) varbit
1701 numeric_in(cstring, oid, int4) numeric
1798 oidin(cstring) oid
2212 regprocedurein(cstring) regprocedure stable
2214 regoperin(cstring) regoper stable
2216 regoperatorin(cstring) regoperator stable
2218 regclassin(cstring) regclass stable
2220 regtypein(cstring) regtype stable
2292 cstring_in(cstring) cstring
2294 any_in(cstring) any
2296 anyarray_in(cstring) anyarray
2298 void_in(cstring) void
2300 trigger_in(cstring) trigger nullable
2302 language_handler_in(cstring) language_handler nullable
2304 internal_in(cstring) internal nullable
2312 anyelement_in(cstring) anyelement
2777 anynonarray_in(cstring) anynonarray
2893 xml_in(cstring) xml stable
2939 txid_snapshot_in(cstring) txid_snapshot
2952 uuid_in(cstring) uuid
3116 fdw_handler_in(cstring) fdw_handler nullable
3229 pg_lsn_in(cstring) pg_lsn
3311 tsm_handler_in(cstring) tsm_handler nullable
3504 anyenum_in(cstring) anyenum
3594 event_trigger_in(cstring) event_trigger nullable
3610 tsvectorin(cstring) tsvector
3612 tsqueryin(cstring) tsquery
3646 gtsvectorin(cstring) gtsvector
3736 regconfigin(cstring) regconfig stable
3771 regdictionaryin(cstring) regdictionary stable
3806 jsonb_in(cstring) jsonb
3832 anyrange_in(cstring, oid, int4) anyrange stable
4001 jsonpath_in(cstring) jsonpath
4084 regnamespacein(cstring) regnamespace stable
4098 regrolein(cstring) regrole stable
4110 macaddr8_in(cstring) macaddr8
4193 regcollationin(cstring) regcollation stable
4226 anycompatiblemultirange_in(cstring, oid, int4) anycompatiblemultirange stable
4229 anymultirange_in(cstring, oid, int4) anymultirange stable
5055 pg_snapshot_in(cstring) pg_snapshot
5070 xid8in(cstring) xid8
5086 anycompatible_in(cstring) anycompatible
5088 anycompatiblearray_in(cstring) anycompatiblearray
5092 anycompatiblenonarray_in(cstring) anycompatiblenonarray
5094 anycompatiblerange_in(cstring, oid, int4) anycompatiblerange stable
"""

_OUTPUT = """
31 byteaout(bytea) cstring
33 charout(char) cstring
35 nameout(name) cstring
39 int2out(int2) cstring
41 int2vectorout(int2vector) cstring
43 int4out(int4) cstring
45 regprocout(regproc) cstring stable
47 textout(text) cstring
49 tidout(tid) cstring
51 xidout(xid) cstring
53 cidout(cid) cstring
55 oidvectorout(oidvector) cstring
110 unknownout(unknown) cstring
118 point_out(point) cstring
120 lseg_out(lseg) cstring
122 path_out(path) cstring
124 box_out(box) cstring
196 pg_node_tree_out(pg_node_tree) cstring
201 float4out(float4) cstring
215 float8out(float8) cstring
268 table_am_handler_out(table_am_handler) cstring
322 json_out(json) cstring
327 index_am_handler_out(index_am_handler) cstring
348 poly_out(polygon) cstring
437 macaddr_out(macaddr) cstring
461 int8out(int8) cstring
751 array_out(anyarray) cstring stable
887 cash_out(money) cstring stable
911 inet_out(inet) cstring
1032 aclitemout(aclitem) cstring stable
1045 bpcharout(bpchar) cstring
1047 varcharout(varchar) cstring
1085 date_out(date) cstring stable
1144 time_out(time) cstring
1151 timestamptz_out(timestamptz) cstring stable
1161 interval_out(interval) cstring stable
1243 boolout(bool) cstring
1313 timestamp_out(timestamp) cstring stable
1351 timetz_out(timetz) cstring
1427 cidr_out(cidr) cstring
1451 circle_out(circle) cstring
1491 line_out(line) cstring
1565 bit_out(bit) cstring
1580 varbit_out(varbit) cstring
1702 numeric_out(numeric) cstring
1799 oidout(oid) cstring
2213 regprocedureout(regprocedure) cstring stable
2215 regoperout(regoper) cstring stable
2217 regoperatorout(regoperator) cstring stable
2219 regclassout(regclass) cstring stable
2221 regtypeout(regtype) cstring stable
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
2894 xml_out(xml) cstring
2940 txid_snapshot_out(txid_snapshot) cstring
2953 uuid_out(uuid) cstring
3117 fdw_handler_out(fdw_handler) cstring
3230 pg_lsn_out(pg_lsn) cstring
3312 tsm_handler_out(tsm_handler) cstring
3505 anyenum_out(anyenum) cstring stable
3507 enum_out(anyenum) cstring stable
3595 event_trigger_out(event_trigger) cstring
3611 tsvectorout(tsvector) cstring
3613 tsqueryout(tsquery) cstring
3647 gtsvectorout(gtsvector) cstring
3737 regconfigout(regconfig) cstring stable
3772 regdictionaryout(regdictionary) cstring stable
3804 jsonb_out(jsonb) cstring
3833 anyrange_out(anyrange) cstring stable
3835 range_out(anyrange) cstring stable
4003 jsonpath_out(jsonpath) cstring
4085 regnamespaceout(regnamespace) cstring stable
4092 regroleout(regrole) cstring stable
4111 macaddr8_out(macaddr8) cstring
4194 regcollationout(regcollation) cstring stable
4227 anycompatiblemultirange_out(anycompatiblemultirange) cstring stable
4230 anymultirange_out(anymultirange) cstring stable
4232 multirange_out(anymultirange) cstring stable
5056 pg_snapshot_out(pg_snapshot) cstring
5081 xid8out(xid8) cstring
5087 anycompatible_out(anycompatible) cstring
5089 anycompatiblearray_out(anycompatiblearray) cstring stable
5093 anycompatiblenonarray_out(anycompatiblenonarray) cstring
5095 anycompatiblerange_out(anycompatiblerange) cstring stable
"""

_SEND = """
198 pg_node_tree_send(pg_node_tree) bytea stable
324 json_send(json) bytea
2401 array_send(anyarray) bytea stable
2403 record_send(record) bytea stable
2405 int2send(int2) bytea
2407 int4send(int4) bytea
2409 int8send(int8) bytea
2411 int2vectorsend(int2vector) bytea
2413 byteasend(bytea) bytea
2415 textsend(text) bytea stable
2417 unknownsend(unknown) bytea
2419 oidsend(oid) bytea
2421 oidvectorsend(oidvector) bytea
2423 namesend(name) bytea stable
2425 float4send(float4) bytea
2427 float8send(float8) bytea
2429 point_send(point) bytea
2431 bpcharsend(bpchar) bytea stable
2433 varcharsend(varchar) bytea stable
2435 charsend(char) bytea
2437 boolsend(bool) bytea
2439 tidsend(tid) bytea
2441 xidsend(xid) bytea
2443 cidsend(cid) bytea
2445 regprocsend(regproc) bytea
2447 regproceduresend(regprocedure) bytea
2449 regopersend(regoper) bytea
2451 regoperatorsend(regoperator) bytea
2453 regclasssend(regclass) bytea
2455 regtypesend(regtype) bytea
2457 bit_send(bit) bytea
2459 varbit_send(varbit) bytea
2461 numeric_send(numeric) bytea
2469 date_send(date) bytea
2471 time_send(time) bytea
2473 timetz_send(timetz) bytea
2475 timestamp_send(timestamp) bytea
2477 timestamptz_send(timestamptz) bytea
2479 interval_send(interval) bytea
2481 lseg_send(lseg) bytea
2483 path_send(path) bytea
2485 box_send(box) bytea
2487 poly_send(polygon) bytea
2489 line_send(line) bytea
2491 circle_send(circle) bytea
2493 cash_send(money) bytea
2495 macaddr_send(macaddr) bytea
2497 inet_send(inet) bytea
2499 cidr_send(cidr) bytea
2501 cstring_send(cstring) bytea stable
2503 anyarray_send(anyarray) bytea stable
2899 xml_send(xml) bytea stable
2942 txid_snapshot_send(txid_snapshot) bytea
2962 uuid_send(uuid) bytea
3121 void_send(void) bytea
3239 pg_lsn_send(pg_lsn) bytea
3447 macaddr8_send(macaddr8) bytea
3533 enum_send(anyenum) bytea stable
3739 regconfigsend(regconfig) bytea
3774 regdictionarysend(regdictionary) bytea
3803 jsonb_send(jsonb) bytea
3837 range_send(anyrange) bytea stable
4088 regnamespacesend(regnamespace) bytea
4095 regrolesend(regrole) bytea
4197 regcollationsend(regcollation) bytea
4234 multirange_send(anymultirange) bytea stable
5058 pg_snapshot_send(pg_snapshot) bytea
5083 xid8send(xid8) bytea
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

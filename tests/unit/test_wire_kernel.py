"""The wire kernel: known bytes, refusals, and its two implementations against each other."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import ProgramLimitExceeded
from aurora.kernels.python import wire as python_wire

native_wire = pytest.importorskip("aurora.kernels.native.wire", reason="kernels are not built")
BOTH = [python_wire, native_wire]
EXECUTE_SYNC = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"


def bind(name: bytes, formats: list[int], values: list[bytes | None], results: list[int]) -> bytes:
    body = b"\0" + name + b"\0" + struct.pack(f"!H{len(formats)}H", len(formats), *formats)
    body += struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    body += struct.pack(f"!H{len(results)}H", len(results), *results)
    return b"B" + struct.pack("!i", len(body) + 4) + body


@pytest.mark.parametrize("kernel", BOTH)
def test_match_point_takes_the_drivers_packet(kernel: Any) -> None:
    statement = SimpleNamespace(codes=b"4s8")
    packet = bind(b"p1", [1, 0, 0], [struct.pack("!i", -5), "é".encode(), None], [1])
    for describe, described in ((b"D\0\0\0\x06P\0", True), (b"", False)):
        data = b"xx" + packet + describe + EXECUTE_SYNC + b"rest"
        found = kernel.match_point(data, 2, {b"p1": statement})
        assert found == (statement, (-5, "é", None), b"\0\1", described, len(data) - 4)


@pytest.mark.parametrize("kernel", BOTH)
@pytest.mark.parametrize(
    ("codes", "formats", "value"),
    [
        (b"4", [], b"2147483648"), (b"4", [], b" 1"), (b"4", [], b"1_0"), (b"4", [], b""), (b"4", [], b"-"),
        (b"2", [1], b"\0\0\0\1"), (b"s", [], b"a\0b"), (b"s", [], b"\xff"), (b"b", [], b"x"), (b"?", [], b"1"),
        (b"4", [2], b"1"), (b"U", [], b"-1"), (b"8", [], b"9223372036854775808"),
    ],
)  # fmt: skip
def test_match_point_declines_what_needs_care(kernel: Any, codes: bytes, formats: list[int], value: bytes) -> None:
    data = bind(b"", formats, [value], []) + EXECUTE_SYNC
    assert kernel.match_point(data, 0, {b"": SimpleNamespace(codes=codes)}) is None


@given(st.binary(max_size=60), st.integers(0, 80))
def test_match_point_parity_on_any_bytes(noise: bytes, cut: int) -> None:
    statements = {b"a": SimpleNamespace(codes=b"4s"), b"": SimpleNamespace(codes=b"")}
    packet = bind(b"a", [0], [b"12", b"xy"], [])
    for data in (noise, packet[:cut] + noise + EXECUTE_SYNC, packet + noise + EXECUTE_SYNC, b"B" + noise):
        assert python_wire.match_point(data, 0, statements) == native_wire.match_point(data, 0, statements)


CODES = {
    "i": st.integers(-(2**63), 2**63 - 1), "s": st.text(st.characters(exclude_categories=["Cs"])), "b": st.booleans(),
    "y": st.binary(), "2": st.integers(-(2**15), 2**15 - 1), "4": st.integers(-(2**31), 2**31 - 1),
    "8": st.integers(-(2**63), 2**63 - 1), "U": st.integers(0, 2**32 - 1), "B": st.booleans(),
    "d": st.floats(allow_nan=False), "f": st.floats(allow_nan=False, width=32), "t": st.integers(), "o": st.integers(),
}  # fmt: skip
CONVERTERS = {"t": lambda value: b"<%d>" % value, "o": lambda value, env: f"{env}{value}é"}


@given(st.data())
def test_encode_rows_parity(data: Any) -> None:
    codes = data.draw(st.text(st.sampled_from(sorted(CODES)), max_size=6))
    row = st.tuples(*[st.none() | CODES[code] for code in codes])
    rows = data.draw(st.lists(row, max_size=5))
    converters = tuple(CONVERTERS.get(code) for code in codes)
    expected = python_wire.encode_rows(rows, codes.encode(), converters, "env")
    assert native_wire.encode_rows(rows, codes.encode(), converters, "env") == expected


@pytest.mark.parametrize("kernel", BOTH)
def test_encode_rows_form(kernel: Any) -> None:
    assert kernel.encode_rows([(7, None)], b"is", (None, None), None) == (b"D\0\0\0\x0f\0\2\0\0\0\x017\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="columns"):
        kernel.encode_rows([(1, 2)], b"i", (None,), None)
    for code, value in ((b"4", 2**31), (b"2", -(2**15) - 1), (b"U", -1), (b"f", 1e300)):
        with pytest.raises(OverflowError):
            kernel.encode_rows([(value,)], code, (None,), None)


@pytest.mark.parametrize("kernel", BOTH)
def test_next_message(kernel: Any) -> None:
    assert kernel.next_message(b"Q\0\0\0\x06a\0", 0, 100) == (81, 5, 7)
    assert kernel.next_message(b"Q\0\0\0\x06a", 0, 100) is None
    assert kernel.next_message(b"Q\0", 0, 100) is None
    for bad in (b"Q\0\0\0\x03", b"Q\x7f\xff\xff\xff", b"Q\xff\xff\xff\xff"):
        with pytest.raises(ValueError, match=r"\d"):
            kernel.next_message(bad, 0, 100)


@given(payloads=st.lists(st.binary(max_size=40), max_size=6), tail=st.binary(max_size=20), cut=st.integers(0, 60))
def test_join_copy_data_parity(payloads: list[bytes], tail: bytes, cut: int) -> None:
    whole = b"".join(b"d" + (len(p) + 4).to_bytes(4, "big") + p for p in payloads)
    assert python_wire.join_copy_data(b"x" + whole, 1) == (b"".join(payloads), 1 + len(whole))
    data = (whole + tail)[: max(0, len(whole + tail) - cut)]
    outcomes = [kernel.join_copy_data(data, 0) for kernel in BOTH]
    assert outcomes.count(outcomes[0]) == len(outcomes)


@pytest.mark.parametrize("kernel", [python_wire, native_wire])
def test_a_row_longer_than_a_message_may_be_is_an_error(kernel: Any) -> None:
    rows = [(b"a" * 50, b"b" * 30)]
    fits = kernel.encode_rows(rows, b"yy", (None, None), None, 95)
    assert fits == kernel.encode_rows(rows, b"yy", (None, None), None)
    # The limit is a row's, not the batch's.
    assert kernel.encode_rows(rows * 3, b"yy", (None, None), None, 95) == fits * 3
    with pytest.raises(ProgramLimitExceeded, match="out of memory") as caught:
        kernel.encode_rows(rows, b"yy", (None, None), None, 94)
    assert caught.value.detail == "Cannot enlarge string buffer containing 61 bytes by 34 more bytes."


@given(st.data())
def test_encode_copy_parity(data: Any) -> None:
    codes = data.draw(st.text(st.sampled_from("isbto"), max_size=5))
    row = st.tuples(*[st.none() | CODES[code] for code in codes])
    rows = data.draw(st.lists(row, max_size=5))
    converters = tuple(CONVERTERS.get(code) for code in codes)
    delimiter, null = data.draw(st.sampled_from(b"\t,|<")), data.draw(st.sampled_from((b"", b"\\N", b"null")))
    for framed in (True, False):
        given = (rows, codes.encode(), converters, "env", delimiter, null)
        expected = python_wire.encode_copy(*given, framed=framed)
        assert native_wire.encode_copy(*given, framed=framed) == expected


@pytest.mark.parametrize("kernel", BOTH)
def test_encode_copy_form(kernel: Any) -> None:
    row = (7, None, "a\tb\\c\n\x01\x0b", True)
    line = b"7\t\\N\ta\\tb\\\\c\\n\x01\\v\tt\n"
    message = b"d" + (len(line) + 4).to_bytes(4, "big") + line
    assert kernel.encode_copy([row] * 2, b"issb", (None,) * 4, None, 9, b"\\N") == message * 2
    assert kernel.encode_copy([row] * 2, b"issb", (None,) * 4, None, 9, b"\\N", framed=False) == line * 2
    assert kernel.encode_copy([("a|b",)], b"s", (None,), None, 124, b"") == b"d\0\0\0\x09a\\|b\n"
    assert kernel.encode_copy([()], b"", (), None, 9, b"") == b"d\0\0\0\x05\n"
    with pytest.raises(ProgramLimitExceeded):
        kernel.encode_copy([("x" * 50,)], b"s", (None,), None, 9, b"", 40)


_FIELDS = st.one_of(
    st.integers(-(2**64), 2**64).map(lambda number: b"%d" % number),
    st.sampled_from((b"", b"\\N", b"007", b"-", b"+1", b" 1", b"1_0", b"\xff", "é".encode())),
    st.sampled_from((b"a\\b", b"a\\tc\\\\", b"\\,", b"\\x41", b"\\", b"\\.", b"\\101", b"\\N0", b'"', b"\0", b"x\r")),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5).map(str.encode),
)  # fmt: skip


@given(
    st.lists(st.lists(_FIELDS, min_size=1, max_size=4), max_size=6), st.text("248d", min_size=1, max_size=4), st.data()
)
def test_split_copy_parity(lines: list[list[bytes]], codes: str, data: Any) -> None:
    delimiter = data.draw(st.sampled_from((b"\t", b",")))
    null = data.draw(st.sampled_from((b"\\N", b"")))
    text = b"".join(delimiter.join(fields) + b"\n" for fields in lines) + data.draw(st.sampled_from((b"", b"x")))
    for special, escapes in ((b"", True), (b"", False), (b"\\", False), (b'\\"', False)):
        expected = python_wire.split_copy(text, codes.encode(), delimiter[0], null, special, escapes)
        assert native_wire.split_copy(text, codes.encode(), delimiter[0], null, special, escapes) == expected


@pytest.mark.parametrize("kernel", BOTH)
def test_split_copy_form(kernel: Any) -> None:
    split = kernel.split_copy
    assert split(b"1\ta\n-2\t\\N\n", b"4d", 9, b"\\N", b"", True) == [[1, -2], ["a", None]]
    assert split(b"1,\n2,b\n", b"4d", 44, b"", b"\\", False) == [[1, 2], [None, "b"]]
    assert split(b"\\1\ta\n", b"dd", 9, b"", b"", True) is None
    assert split(b"a\\\tb\\n\\\\\tc\\q\\N\n", b"dd", 9, b"\\N", b"", True) == [["a\tb\n\\"], ["cqN"]]
    for kept in (b"1\t\\.\n", b"1\ta\\\n", b"1\t\\x41\n", b"1\ta\\0\n"):
        assert split(kept, b"4d", 9, b"\\N", b"", True) is None
    for declined in (b"1\n", b"1\ta\tb\n", b"1\ta", b"x\ta\n", b"1\ta\\b\n", b"1\ta\r\n", b"1\t\0\n", b"1\t\xff\n",
                     b"2147483648\ta\n", b""):  # fmt: skip
        assert split(declined, b"4d", 9, b"\\N", b"\\", False) is None

"""The literal lifter: what it lifts, what it leaves alone, and its two implementations against each other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.kernels.python import lifter as python_lifter

native_lifter = pytest.importorskip("aurora.kernels.native.lifter", reason="kernels are not built")
BOTH = [python_lifter, native_lifter]


@pytest.mark.parametrize("kernel", BOTH)
@pytest.mark.parametrize(
    ("sql", "key", "literals"),
    [
        ("SELECT 1", "SELECT \0i", [1]),
        ("select -2147483647, 2147483649", "select -\0i, \0l", [2147483647, 2147483649]),
        ("select 1.5, .5, 1e3, 12345678901234567890", "select \0n, \0n, \0n, \0n",
         ["1.5", ".5", "1e3", "12345678901234567890"]),
        ("SELECT a1, t.b2 FROM x3 WHERE c='it''s'", "SELECT a1, t.b2 FROM x3 WHERE c=\0s", ["it's"]),
        ('select "1""2", 3 ;; ', 'select "1""2", \0i ', [3]),
        ("select 1 -- 2\n, 3", "select \0i  \n, \0i", [1, 3]),
        ("select /* 9 /* 8 */ 7 */ 1", "select   \0i", [1]),
        ("UPDATE t SET v = v + -12 WHERE id=5;", "UPDATE t SET v = v + -\0i WHERE id=\0i", [12, 5]),
        ("select 'é', 'x'", "select \0s, \0s", ["é", "x"]),
    ],
)  # fmt: skip
def test_lifts(kernel: Any, sql: str, key: str, literals: list[Any]) -> None:
    found = kernel.lift(sql.encode())
    assert found == (key.encode(), literals)
    assert len(kernel.positions(sql.encode())) == len(literals)


@pytest.mark.parametrize("kernel", BOTH)
@pytest.mark.parametrize(
    "sql",
    ["", "BEGIN", "create table t(a int)", "select 1; select 2", "select $1", "select $$x$$", "select E'a'",
     "select U&'a'", "select B'1'", "select 'a'\n'b'", "select 'open", 'select "open', "select /* open", "select 1abc",
     "select 0x1F", "select 1_000", "select 2147483648", "select 9223372036854775807", "select 1..2", "select 1e",
     "-- only a comment", "select '" + "x" * 20000 + "'", "select " + "1," * 300 + "1"],
)  # fmt: skip
def test_declines(kernel: Any, sql: str) -> None:
    assert kernel.lift(sql.encode()) is None
    assert kernel.positions(sql.encode()) is None


@pytest.mark.parametrize("kernel", BOTH)
def test_declines_invalid_utf8_in_a_literal(kernel: Any) -> None:
    assert kernel.lift(b"select '\xff'") is None


PIECES = st.sampled_from(
    ["select", " ", "\n", "1", "42", "3.5", "-", "--", "/*", "*/", "'", "''", '"', "a", "_", "é", ";", "$", ".", "e",
     "(", ",", "::int4", "2147483648", "99999999999", "u&", "\\", "\t"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=20).map(lambda parts: "select " + "".join(parts)))
def test_parity(sql: str) -> None:
    data = sql.encode()
    assert native_lifter.lift(data) == python_lifter.lift(data)
    assert native_lifter.positions(data) == python_lifter.positions(data)


@given(st.binary(max_size=40))
def test_parity_on_bytes(noise: bytes) -> None:
    data = b"select " + noise
    assert native_lifter.lift(data) == python_lifter.lift(data)

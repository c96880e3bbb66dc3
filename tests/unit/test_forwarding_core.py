"""Write forwarding without a network: requests as the protocol reads them, answers in any pieces, rows and errors as
they were, and where a statement is in its text."""

from __future__ import annotations

import itertools
import struct
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import compute_node.types  # noqa: F401
from aurora.errors import SqlError, UniqueViolation
from aurora.ids import Lsn
from aurora.kernels import wire as wire_kernel
from compute_node.forward import refusals, requests, texts, values
from compute_node.forward.answers import Answer, Messages, read_error
from compute_node.protocol import messages
from compute_node.session.results import binary_code, text_code
from compute_node.types.record import Record
from compute_node.types.registry import REGISTRY, TypeEnv

INT4, TEXT, NUMERIC, BYTEA, BOOL, RECORD, ACLITEM = (REGISTRY.types[oid] for oid in (23, 25, 1700, 17, 16, 2249, 1033))
ENV = TypeEnv(UTC)


class SessionStub:
    """What decoding asks of a session."""

    env = ENV
    type_of = staticmethod(REGISTRY.types.__getitem__)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def test_a_statement_is_what_the_protocol_reads() -> None:
    sent = requests.statement("select $1, $2, é", [INT4, ACLITEM], (5, None), [TEXT, ACLITEM], ENV)
    parts, at = [], 0
    while at < len(sent):
        found = wire_kernel.next_message(sent, at, 1 << 30)
        assert found is not None
        kind, start, at = found
        parts.append((chr(kind), start, at))
    assert [kind for kind, _, _ in parts] == ["P", "B", "D", "E", "S"]
    assert messages.read_parse(sent, *parts[0][1:]) == (b"", "select $1, $2, é".encode(), (23, 1033))
    bound = messages.read_bind(sent, *parts[1][1:])
    assert bound.values == (struct.pack(">i", 5), None)
    assert bound.formats == (1, 0)  # an aclitem has no binary form
    assert bound.result_formats == b"\0\1\0\0"
    assert messages.read_target(sent, *parts[2][1:]) == (ord("P"), b"")
    assert messages.read_execute(sent, *parts[3][1:]) == (b"", 0)
    without = requests.statement("delete", [], (), None, ENV)
    assert b"D\0\0\0" not in without


def answer_bytes(texts_of_rows: list[str | None]) -> bytes:
    column = messages.Column("n", TEXT, -1, 0, 0)
    rows = [(text,) for text in texts_of_rows]
    code, converter = binary_code(TEXT)
    return b"".join(
        [
            messages.message(b"1", b""),
            messages.row_description([column], [-1], [1]),
            messages.notice_response(SqlError("careful"), "WARNING"),
            wire_kernel.encode_rows(rows, code, (converter,), ENV),
            messages.command_tag(f"INSERT 0 {len(rows)}"),
            messages.parameter_status("TimeZone", "UTC"),
            messages.READY_IN_BLOCK,
        ]
    )


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=20), st.just("long" * 30_000)), max_size=5),
    st.lists(st.integers(0, 1 << 40), max_size=8),
)
def test_an_answer_comes_in_any_pieces(rows: list[str | None], cuts: list[int]) -> None:
    rows = [None if each is None else each.replace("\0", "") for each in rows]
    answer, incoming = Answer(), Messages()
    taken = []
    for piece in split(answer_bytes(rows), cuts):
        incoming.feed(piece, answer)
        taken += answer.take_rows()
    assert not answer.done  # the position is missing
    answer.positioned, answer.lsn = True, Lsn(7)
    assert answer.done
    assert (answer.ready, answer.tag, answer.count) == (b"T", f"INSERT 0 {len(rows)}", len(rows))
    assert answer.columns == (25,)
    assert len(answer.take_notices()) == 1
    session: Any = SessionStub()
    assert values.rows(taken, values.decoders(session, [TEXT])) == [(each,) for each in rows]
    following = Answer()
    incoming.feed(messages.READY_IDLE, following)
    assert following.ready == b"I"


def test_no_message_is_no_answer() -> None:
    with pytest.raises(ValueError, match="1"):
        Messages().feed(b"Z\0\0\0\1I", Answer())


def test_an_error_keeps_every_field() -> None:
    error = UniqueViolation(
        "duplicate", detail="Key", hint="Try", position=7, where="trigger", schema="s", table="t", column="c",
        data_type="d", constraint="k",
    )  # fmt: skip
    error.internal_position, error.internal_query, error.routine = 3, "select", "_bt_check_unique"
    payload = messages.error_response(error)[5:]
    found = read_error(payload)
    assert type(found) is UniqueViolation
    for name in (
        "message", "detail", "hint", "position", "where", "schema", "table", "column", "data_type", "constraint",
        "internal_position", "internal_query", "severity",
    ):  # fmt: skip
        assert getattr(found, name) == getattr(error, name), name
    # A state that no class here has: of a user's function, or of another version.
    strange = read_error(b"SERROR\0VERROR\0CXY123\0Mstrange\0\0")
    assert (strange.sqlstate, strange.message, strange.position) == ("XY123", "strange", None)
    assert type(read_error(b"CXY123\0\0")) is type(strange)
    assert read_error(b"VFATAL\0C57P01\0Mend\0\0").severity == "FATAL"


def test_rows_become_the_values_that_they_were() -> None:
    kinds = [INT4, TEXT, NUMERIC, BYTEA, BOOL, RECORD]
    inner = Record.of((1, None, "é"), (INT4, TEXT, TEXT))
    row = (-5, "", NUMERIC.input("1.50", -1, ENV), b"\0\xff", False, Record.of((inner, 7), (RECORD, INT4)))
    pairs = [binary_code(kind) if requests.goes_binary(kind) else text_code(kind) for kind in kinds]
    encoded = wire_kernel.encode_rows(
        [row, (None,) * 6], b"".join(code for code, _ in pairs), tuple(converter for _, converter in pairs), ENV
    )
    answer = Answer()
    Messages().feed(encoded, answer)
    session: Any = SessionStub()
    found, nulls = values.rows(answer.take_rows(), values.decoders(session, kinds))
    assert found[:5] == row[:5]
    assert RECORD.output(found[5], ENV) == RECORD.output(row[5], ENV) == '("(1,,é)",7)'
    assert nulls == (None,) * 6


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("insert into t values (1)", "insert into t values (1)"),
        ("  update t set a = 'prepare x as'", "  update t set a = 'prepare x as'"),
        ("prepare p as delete from t", "delete from t"),
        ("/* é */ PREPARE é (int, numeric(5, 2)) AS\n update t set a = $1", "update t set a = $1"),
        ("-- explain\nselect 1 for update", "-- explain\nselect 1 for update"),
        ("explain delete from t", "delete from t"),
        ("explain analyze verbose update t set a = 1", "update t set a = 1"),
        ("EXPLAIN (ANALYZE, costs off, format json) with x as (select 1) delete from t", None),
        ("explain (select 1 for update)", "(select 1 for update)"),
    ],
)
def test_where_a_statement_is_in_its_text(text: str, inner: str | None) -> None:
    found = text[texts.inner_start(text) :]
    assert found == (inner if inner is not None else "with x as (select 1) delete from t")


def test_explain_is_written_with_its_options() -> None:
    assert texts.explain({"analyze": True, "costs": False, "format": "json"}, "delete from t") == (
        "EXPLAIN (analyze true, costs false, format json) delete from t"
    )


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("insert into t values (nextval('s'))", True),
        ("insert into t values (pg_catalog.\"nextval\" ('s'))", True),
        ("insert into t values (NEXTVAL  ('s'))", True),
        ("insert into t values ('nextval(1)')", False),
        ("insert into t (nextval) values (1) -- nextval(", False),
        ("insert into t values (my_nextval('s'))", False),
    ],
)
def test_what_a_text_calls(text: str, called: bool) -> None:
    assert refusals.calls(text, "nextval") is called

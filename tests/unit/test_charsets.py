"""Every character of every client encoding is converted as PostgreSQL 15 converts it; the errors are its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import CharacterNotInRepertoire, SqlError, UntranslatableCharacter
from compute_node.types.charsets.charset import Charset, MultiByte, charset
from compute_node.types.charsets.names import CODECS, ENCODINGS, find_encoding

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from record_charsets import BEYOND_BMP, of_one_character, read_digest, sent_digest  # noqa: E402

RECORDED: dict[str, list[str]] = json.loads((GOLDEN / "charsets.json").read_text())


def _sent(found: Charset) -> dict[int, bytes]:
    if not isinstance(found, MultiByte):
        texts = {bytes([byte]): found.decode(bytes([byte])) for byte in range(1, 256) if _read(found, bytes([byte]))}
        assert all(found.encode(text) == data for data, text in texts.items())
        return {ord(text): data for data, text in texts.items()}
    high = 0x30000 if found.name in BEYOND_BMP else 0x10000
    codes = (code for code in range(128, high) if not 0xD800 <= code <= 0xDFFF)
    pairs = ((code, found.bytes_of(chr(code))) for code in codes)
    return {code: bytes([code]) for code in range(1, 128)} | {code: data for code, data in pairs if data is not None}


def _read(found: Charset, data: bytes) -> str | None:
    try:
        return found.decode(data)
    except (CharacterNotInRepertoire, UntranslatableCharacter):
        return None


def _all_read(found: Charset) -> dict[bytes, str]:
    sequences = [bytes([byte]) for byte in range(1, 256)]
    if isinstance(found, MultiByte):
        sequences += [bytes([one, two]) for one in range(128, 256) for two in range(1, 256)]
        if found.name in ("EUC_JP", "EUC_JIS_2004"):
            sequences += [bytes([0x8F, one, two]) for one in range(128, 256) for two in range(1, 256)]
    else:
        sequences += [bytes([one, two]) for one in range(128, 256) for two in (65, 255)]
    pairs = ((data, _read(found, data)) for data in sequences)
    return of_one_character({data: text for data, text in pairs if text is not None})


@pytest.mark.parametrize("name", RECORDED)
def test_every_character_is_converted_as_in_postgresql(name: str) -> None:
    found = charset(name)
    assert [sent_digest(_sent(found)), read_digest(_all_read(found))] == RECORDED[name]


def test_all_sets_but_three_are_recorded() -> None:
    assert set(ENCODINGS) - set(RECORDED) == {"SQL_ASCII", "UTF8", "MULE_INTERNAL"}
    assert {find_encoding(name) for name in ("unicode", "Shift_JIS", "iso-8859-16", "windows-1252", "nope")} == {
        "UTF8", "SJIS", "LATIN10", "WIN1252", None,
    }  # fmt: skip


@given(name=st.sampled_from([*RECORDED, "UTF8"]), text=st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_what_is_encoded_decodes_again(name: str, text: str) -> None:
    """PostgreSQL writes some characters of three sets that it does not read."""
    found = charset(name)
    try:
        data = found.encode(text)
    except UntranslatableCharacter:
        return
    again = _read(found, data)
    if again is None:
        assert name in ("EUC_JIS_2004", "EUC_TW", "JOHAB")
        return
    assert found.encode(again) == data
    # Two characters may share one sequence: SJIS has a yen for a backslash.
    assert again == text or name not in CODECS


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("SJIS", b"a\x81 ", 'invalid byte sequence for encoding "SJIS": 0x81 0x20'),
        ("EUC_JP", b"\xa1", 'invalid byte sequence for encoding "EUC_JP": 0xa1'),
        ("EUC_TW", b"\x8e\xa8\xc0\xf5", 'invalid byte sequence for encoding "EUC_TW": 0x8e 0xa8 0xc0 0xf5'),
        ("LATIN1", b"a\0b", 'invalid byte sequence for encoding "LATIN1": 0x00'),
        ("UTF8", b"\xe2\x82", 'invalid byte sequence for encoding "UTF8": 0xe2 0x82'),
        ("UHC", b"\x81", 'invalid byte sequence for encoding "UHC": 0x81'),
    ],
)  # fmt: skip
def test_errors_name_the_bytes(name: str, data: bytes, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        charset(name).decode(data)
    assert caught.value.message == message


def test_a_long_text_is_converted_in_pieces() -> None:
    text = "日本語 ｱ\n" * 40_000
    data = charset("SJIS").encode(text)
    assert data == text.encode("cp932")
    assert charset("SJIS").decode(data) == text

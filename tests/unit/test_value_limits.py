"""Values have a largest size: what would be larger is refused before it is made (54000)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import ProgramLimitExceeded
from compute_node.types import long_text
from compute_node.types.registry import REGISTRY

LIMIT = 1 << 20

LARGE = {
    "repeat": (1622, ("é", LIMIT // 2 + 1)),
    "lpad": (873, ("x", LIMIT // 4 + 1, "ab")),
    "rpad": (874, ("x", LIMIT // 4 + 1, "ab")),
    "text || text": (1258, ("x" * LIMIT, "y")),
    "text || text of two bytes": (1258, ("é" * (LIMIT // 2), "y")),
    "bytea || bytea": (2011, (b"x" * LIMIT, b"y")),
}


@pytest.mark.parametrize("name", LARGE)
def test_larger_values_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_text, "VALUE_BYTES_MAX", LIMIT)
    oid, arguments = LARGE[name]
    function = REGISTRY.functions[oid].implementation
    with pytest.raises(ProgramLimitExceeded, match="requested length too large"):
        function(*arguments)
    smaller = [each[:-1] if isinstance(each, (str, bytes)) and len(each) > 2 else each for each in arguments]
    smaller = [each - 1 if isinstance(each, int) else each for each in smaller]
    assert len(function(*smaller)) > LIMIT // 4 - 1


@given(st.text(max_size=3), st.integers(0, 40), st.text(alphabet="abé", min_size=1, max_size=3), st.integers(1, 7))
def test_padding_by_pieces(value: str, length: int, fill: str, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_text, "PIECE", piece)
        missing = max(length - len(value), 0)
        padding = (fill * missing)[:missing]
        assert REGISTRY.functions[873].implementation(value, length, fill) == (padding + value)[: length or 0]
        assert REGISTRY.functions[874].implementation(value, length, fill) == (value + padding)[:length]

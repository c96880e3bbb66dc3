"""The 22 queries of TPC-H at a small scale give PostgreSQL's answers (`tests/golden/record_tpch.py` records them)."""

from __future__ import annotations

import json
import re

import psycopg
import pytest

import aurora
from benchmarks import tpch
from tests.golden.record_tpch import RECORDED, answers


@pytest.mark.skipif(tpch.generator() is None, reason="tpchgen-cli is not installed")
def test_answers() -> None:
    """Numerics digit by digit, rows in order."""
    expected = json.loads(RECORDED.read_text())
    assert sum(bool(rows) for rows in expected.values()) > 15, "most queries must find something"
    with aurora.cluster() as cluster, psycopg.connect(cluster.dsn, autocommit=True) as connection:
        found = answers(connection)
    assert list(found) == list(expected)
    for name, rows in expected.items():
        assert found[name] == rows, name


def test_texts() -> None:
    """Every query is there, and query 11's fraction follows the scale."""
    texts = [tpch.query(number, 0.1) for number in tpch.NUMBERS]
    assert len(texts) == 22 and not any(re.search(r"[{}]", text) for text in texts)
    assert "0.0010000000" in texts[10]

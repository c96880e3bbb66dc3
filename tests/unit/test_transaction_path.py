"""The path of a transaction of prepared statements, which decides throughput, does not get longer unseen."""

from __future__ import annotations

import sys

import pytest

from benchmarks.transaction_path import bytecodes

AT_654ACE59 = 5_478
"""before all types, the planner's statistics and what is counted came (``python -m benchmarks.transaction_path``)"""


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="another Python has other bytecodes")
def test_a_transaction_of_prepared_statements_runs_as_many_bytecodes_as_it_did() -> None:
    told = bytecodes(20)
    assert told["compute_node/session/turn.py:run_point"] > 500
    total = sum(told.values())
    assert 0.8 * AT_654ACE59 < total < 1.05 * AT_654ACE59, list(told.items())[:40]

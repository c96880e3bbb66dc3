"""A storage node process under a flood that cannot be coalesced keeps to its memory, and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks.node_memory import measure

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not tell a process's memory"
)]  # fmt: skip


def test_memory_of_a_node_stays_under_its_setting(tmp_path: Path) -> None:
    found = asyncio.run(measure(tmp_path, 192))
    assert found["refused"] > found["empty"] + 15  # it was a flood
    assert found["peak"] < 192

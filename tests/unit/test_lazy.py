"""What a writer's start does not load (``aurora/lazy.py``): libraries for what an idle one never does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aurora.lazy import lazy

LATER = ("cryptography", "prometheus_client", "lxml", "snowballstemmer", "icu", "http.client", "numpy.random")


def test_a_writers_program_is_loaded_without_them() -> None:
    code = "import sys, compute_node.__main__, compute_node.server; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "compute_node.extensions.pgcrypto.ciphers" in loaded
    assert [name for name in LATER if name in loaded] == []


def test_a_name_is_loaded_when_it_is_asked_for() -> None:
    late = lazy("fractions")
    assert late.Fraction(1, 2) + late.Fraction(1, 2) == 1
    assert "Fraction" in vars(late)
    with pytest.raises(AttributeError):
        _ = late.nothing
    with pytest.raises(ModuleNotFoundError):
        _ = lazy("no_such_library").anything

"""Regular expressions and LIKE: the two kernels agree, time is linear in the text, long matching lets others run.

What the answers are is recorded from PostgreSQL, in ``tests/compat/regex.sql``.
"""

from __future__ import annotations

import importlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import InvalidRegularExpression, QueryCanceled
from aurora.kernels.python import regex as twin
from compute_node.hub import HUB
from compute_node.types import ctype
from compute_node.types.like import like_test
from compute_node.types.regex import compile_regex
from compute_node.types.regex.automaton import Assembler, Palette
from compute_node.types.regex.matcher import Regex
from compute_node.types.regex.parse import Parser
from compute_node.types.regex.syntax import ADVANCED

TEXTS = st.text(alphabet="ab_- \né\u20ac\U0001f600", max_size=12)
ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "\\w", "\\W", "\\s", "^", "$", "\\m", "\\M", "\\y", "\\Y", "€", "[[:alpha:]]"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join).map("(?:{})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


def automata(module: Any, pattern: str) -> list[Any]:
    """(whole, search, back, starts) of a pattern in one implementation."""
    parser = Parser(pattern, ADVANCED)
    palette = Palette([parser.piece.ast])
    found = []
    for reverse in (False, True):
        for anywhere in (False, True):
            assembler = Assembler(palette, reverse)
            start = assembler.add(parser.piece.ast, 0)
            if anywhere:
                start = assembler.anywhere(start)
            found.append(module.Dfa(assembler.nodes, start, palette.colors, reverse))
    return found


def pulse() -> None:
    """No clock here."""


@settings(max_examples=300, deadline=None)
@given(pattern=PATTERNS, text=TEXTS, start=st.integers(0, 12))
def test_both_kernels_run_alike(pattern: str, text: str, start: int) -> None:
    native = pytest.importorskip("aurora.kernels.native.regex", reason="the kernels are not compiled")
    begin, end = min(start, len(text)), len(text)
    for ours, theirs in zip(automata(twin, pattern), automata(native, pattern), strict=True):
        first, last = (end, begin) if ours.reverse else (begin, end)
        for _ in range(2):
            assert ours.longest(text, first, last, None, pulse) == theirs.longest(text, first, last, None, pulse)
            arguments = (text, first, (first + last) // 2, last, None, pulse)
            assert ours.shortest(*arguments) == theirs.shortest(*arguments)
            assert ours.marks(text, first, last, None, pulse) == theirs.marks(text, first, last, None, pulse)


@pytest.mark.parametrize("side", ["python", "native"])
def test_states_are_dropped_when_there_are_too_many_and_answers_stay(side: str) -> None:
    module = pytest.importorskip(f"aurora.kernels.{side}.regex", reason="the kernels are not compiled")
    whole, search, *_ = automata(module, "[ab]*a[ab]{12}")
    for dfa in (whole, search):
        dfa.states_max = 64
    chance = random.Random(1)
    text = "".join(chance.choice("ab") for _ in range(3000))
    marks = whole.marks(text, 0, len(text), None, pulse)
    assert whole.generation > 0
    assert len(whole.keys) <= 64
    expected = [at for at in range(13, len(text) + 1) if text[at - 13] == "a"]
    assert [at for at, mark in enumerate(marks) if mark] == expected
    assert search.shortest(text, 0, 0, len(text), None, pulse) == expected[0]


class Counting(twin.Dfa):
    """Counts the characters that all automata read."""

    steps = 0

    def _run(self, text: str, begin: int, stop: int, masks: Any, pulse: Any, accepted: Any) -> None:
        Counting.steps += abs(stop - begin)
        super()._run(text, begin, stop, masks, pulse, accepted)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * 3000 + "!"),
        ("^(a|aa)+$", "a" * 3000 + "!"),
        ("(a*)*b", "a" * 3000),
        ("(.*)(.*)(.*)(.*)(.*)x", "a" * 3000),
        ("(a*)(ab)*(b*)c$", "a" * 1500 + "b" * 1500),
        ("(x+x+)+y", "x" * 3000),
        ("(?:a?){30}a{30}", "a" * 30),
        ("((a{0,3})(a{0,3}))*z", "a" * 3000),
        ("(?<=a)b|(?=c)d", "ab" * 1500),
    ],
)
def test_catastrophic_patterns_read_the_text_a_few_times(
    monkeypatch: pytest.MonkeyPatch, pattern: str, text: str
) -> None:
    monkeypatch.setattr("compute_node.types.regex.matcher.kernel.Dfa", Counting)
    Counting.steps = 0
    regex = Regex(pattern, ADVANCED)
    matched = regex.test(text)
    assert (regex.search(regex.prepare(text), 0) is not None) == matched
    assert Counting.steps < 200 * (len(text) + 100)


def test_groups_are_found_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute_node.types.regex.matcher.kernel.Dfa", Counting)
    Counting.steps = 0
    regex = Regex("(a*)(a*)(a*)(b|ab)(.*)", ADVANCED)
    text = "a" * 2000 + "b" + "c" * 2000
    found = regex.search(regex.prepare(text), 0)
    assert found == [(0, 4001), (0, 2000), (2000, 2000), (2000, 2000), (2000, 2001), (2001, 4001)]
    assert Counting.steps < 50 * len(text)


def test_like_reads_the_value_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute_node.types.like.kernel.Dfa", Counting)
    for pattern, expected in (("%a_" * 300 + "c", False), ("%_a" * 300 + "%", True), ("%" * 500 + "_" + "%", True)):
        Counting.steps = 0
        like_test.cache_clear()
        assert like_test(pattern)("a" * 2000 + "b") is expected
        assert Counting.steps == 2001
    like_test.cache_clear()


def test_long_texts_pulse_and_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def canceled() -> None:
        raise QueryCanceled("canceled")

    monkeypatch.setattr(HUB, "pulse", canceled)
    text = "a" * (2 << 20)
    for test in (compile_regex("(b|c)d").test, like_test("%a_b%"), like_test("%b%b%")):
        with pytest.raises(QueryCanceled):
            test(text)


def test_back_references_pulse_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    pulses = 0

    def count() -> None:
        nonlocal pulses
        pulses += 1

    monkeypatch.setattr(HUB, "pulse", count)
    assert not compile_regex(r"^(?:(a|aa)+\1)+(x|y)\2$").test("a" * 12 + "xy")
    assert pulses > 3


def test_what_is_too_complex_is_refused() -> None:
    for pattern in ("((a{255}){255}){255}", "(" * 5000 + ")" * 5000):
        with pytest.raises(InvalidRegularExpression, match="regular expression is too complex"):
            compile_regex(pattern)


def test_case_mappings_never_change_lengths() -> None:
    everything = "".join(chr(code) for code in range(1, 0x11000) if not 0xD800 <= code < 0xE000)
    assert len(ctype.upper(everything)) == len(ctype.lower(everything)) == len(everything)
    assert ctype.upper("ßaǆ") == "ßAǄ"
    assert ctype.lower("İΣ") == "iσ"


@pytest.mark.parametrize("name", ["alpha", "alnum", "lower", "upper", "punct", "space", "word", "graph"])
def test_complements_cover_everything_once(name: str) -> None:
    ranges = ctype.char_class(name)
    assert ranges is not None
    assert ctype.normalize((*ranges, *ctype.complement(ranges))) == ((0, ctype.MAX_CODE),)
    assert ctype.complement(ctype.complement(ranges)) == ranges


def test_the_kernel_is_chosen_like_the_others() -> None:
    assert importlib.import_module("aurora.kernels").regex.Dfa is not None

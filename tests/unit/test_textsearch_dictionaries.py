"""Dictionaries: files, affixes, compounds, phrases of several words; what the catalog keeps of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support_catalog import Engine, Session, in_greenlet

from aurora.errors import ConfigFileError, InvalidParameterValue
from compute_node.types.textsearch.configurations import configuration
from compute_node.types.textsearch.dictionaries import Dictionary, PlainDictionary, asked
from compute_node.types.textsearch.lexize import Lexizer
from compute_node.types.textsearch.templates import make, read_options, stop_words
from compute_node.types.textsearch.tokens import Token, parse
from compute_node.work.server_files import PLACES

ISPELL, SYNONYM, THESAURUS = 3732, 3729, 3741


def no_dictionary(name: str) -> Dictionary:
    return PlainDictionary(frozenset(("a", "the")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(PLACES, "tsearch_data", tmp_path)
    return tmp_path


def texts(dictionary: Dictionary, word: str) -> list[str] | None:
    found = asked(dictionary, word)
    return None if found is None else [each.text for each in found]


def test_a_folder_of_ones_own_comes_first(folder: Path) -> None:
    (folder / "english.stop").write_text("foo\n\n bar | comment\n")
    assert stop_words("english") == {"foo", "bar"}
    (folder / "mine.syn").write_text("Word other\nshort\nplural sing*\n")
    synonyms = make(SYNONYM, [("synonyms", "mine")], no_dictionary)
    assert texts(synonyms, "WORD") == ["other"] and texts(synonyms, "short") is None
    assert texts(make(SYNONYM, [("synonyms", "synonym_sample")], no_dictionary), "gogle") == ["googl"]
    with pytest.raises(InvalidParameterValue):
        stop_words("../english")


def test_a_file_that_is_not_utf8(folder: Path) -> None:
    (folder / "bad.stop").write_bytes(b"\xff\n")
    with pytest.raises(Exception, match="invalid byte sequence"):
        stop_words("bad")


def test_affixes_in_both_formats(folder: Path) -> None:
    (folder / "words.dict").write_text("try/S\nwork/SX\n")
    (folder / "old.affix").write_text("suffixes\nflag *S:\n  [^AEIOU]Y > -Y,IES\n  [^Y] > S\nflag X:\n  . > ING # x\n")
    (folder / "new.affix").write_text(
        "SFX S Y 2\nSFX S y ies [^aeiou]y\nSFX S 0 s [^y]\n\nSFX X N 1\nSFX X 0 ing .\n\nPFX P Y 1\nPFX P 0 re .\n"
    )
    for name in ("old", "new"):
        dictionary = make(ISPELL, [("dictfile", "words"), ("afffile", name)], no_dictionary)
        assert texts(dictionary, "Tries") == ["try"]
        assert texts(dictionary, "works") == texts(dictionary, "working") == texts(dictionary, "work") == ["work"]
        assert texts(dictionary, "trying") is None and texts(dictionary, "trys") is None
        assert texts(dictionary, "rework") is None
    (folder / "mixed.affix").write_text("suffixes\nflag *S:\n  . > S\nSFX S Y 1\n")
    with pytest.raises(ConfigFileError, match="both old-style and new-style"):
        make(ISPELL, [("dictfile", "words"), ("afffile", "mixed")], no_dictionary)


def test_a_compound_in_all_its_ways() -> None:
    dictionary = make(ISPELL, [("dictfile", "ispell_sample"), ("afffile", "ispell_sample")], no_dictionary)
    found = asked(dictionary, "footballklubber")
    assert found is not None
    variants: dict[int, list[str]] = {}
    for lexeme in found:
        variants.setdefault(lexeme.variant, []).append(lexeme.text)
    assert list(variants.values()) == [["footballklubber"], ["foot", "ball", "klubber"], ["football", "klubber"]]


def test_a_long_word_of_a_compounding_language_ends() -> None:
    dictionary = make(ISPELL, [("dictfile", "ispell_sample"), ("afffile", "ispell_sample")], no_dictionary)
    assert asked(dictionary, "football" * 30 + "x") is None
    assert len(asked(dictionary, "foot" * 100) or ()) >= 100


def phrases(maps: dict[int, list[Dictionary]], text: str) -> list[list[str] | None]:
    lexizer = Lexizer(maps)
    steps = [step for token in (*parse(text), Token(0, "")) for step in lexizer.feed(token)]
    return [None if step.lexemes is None else [each.text for each in step.lexemes] for step in steps if step.lexemes]


def test_the_longest_phrase_of_a_thesaurus(folder: Path) -> None:
    (folder / "mine.ths").write_text("# rules\none : 1\none two : 12\none two three : *123\nx ? y : xy\n")
    thesaurus = make(THESAURUS, [("dictfile", "mine"), ("dictionary", "any")], no_dictionary)
    maps = {1: [thesaurus, PlainDictionary(frozenset(("a", "the")))]}
    assert phrases(maps, "one two four") == [["12"], ["four"]]
    assert phrases(maps, "one two three one") == [["123"], ["1"]]
    assert phrases(maps, "two one") == [["two"], ["1"]]
    assert phrases(maps, "x a y x the y x b y") == [["xy"], ["xy"], ["x"], ["b"], ["y"]]
    (folder / "bad.ths").write_text("the : x\n")
    with pytest.raises(ConfigFileError, match="is a stop word"):
        make(THESAURUS, [("dictfile", "bad"), ("dictionary", "any")], no_dictionary)


@given(st.lists(st.sampled_from(["a", "fox", "x-y", "12", "ran", "http://a.b/c", "é"]), max_size=12))
def test_both_ways_through_plain_dictionaries_agree(words: list[str]) -> None:
    text, english = " ".join(words), configuration(13164)
    assert english.plain is not None
    quick = [english.plain[token.kind].lexemes(token.text) for token in parse(text) if token.kind in english.plain]
    assert phrases(english.dictionaries, text) == [each for each in quick if each]


def test_options_are_read_as_they_are_written() -> None:
    text = "a = 'it''s', \"B c\" = E'x\\\\y', n = 12, w = word"
    assert read_options(text) == [("a", "it's"), ("B c", "x\\y"), ("n", "12"), ("w", "word")]
    assert read_options(None) == []


def test_a_changed_dictionary_is_made_anew_in_its_transaction_first() -> None:
    def body() -> None:
        engine = Engine()
        one, other = engine.session(), engine.session()
        one.run("create text search dictionary public.d (template = simple)")
        ((oid,),) = one.run("select oid from pg_ts_dict where dictname = 'd'")

        def stops(session: Session) -> bool:
            return texts(engine.functions(session, "text_search_dictionary", oid), "the") == []

        assert not stops(one) and not stops(other)
        one.begin()
        one.run("alter text search dictionary public.d (stopwords = english)")
        assert stops(one) and not stops(other)
        one.commit()
        assert stops(one) and stops(other)

    in_greenlet(body)

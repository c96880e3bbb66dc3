"""xml: what is never loaded and never grows, names, paths from the document, binary forms, long documents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event
from types import SimpleNamespace
from typing import cast

import greenlet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import InternalError, InvalidXmlContent, InvalidXmlDocument, QueryCanceled, SqlError
from compute_node.hub import HUB
from compute_node.types.registry import REGISTRY, FunctionContext
from compute_node.types.xml import libxml, xpath
from compute_node.types.xml.declaration import has_doctype, read_declaration, shown
from compute_node.types.xml.names import identifier_of, xml_name
from compute_node.types.xml.publish import attribute_text, concatenated
from compute_node.types.xml.value import checked
from compute_node.types.xml.xpath_text import from_document, is_simple
from compute_node.work import workers

XML = REGISTRY.types_by_name["xml"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b", "/ a / b"),
        ("/a/b", "/ a / b"),
        ("//a[b = c]/d", "// a [ b = c ] / d"),
        ("count(a) + b", "count ( / a ) + / b"),
        ("a | b", "/ a | / b"),
        ("@x", "/ @ x"),
        ("a * b", "/ a * / b"),
        ("* * *", "/ * * / *"),
        ("name()", "name ( / )"),
        ("position() = 1", "position ( ) = 1"),
        ("div div mod", "/ div div / mod"),
        ("child::a and self::node()", "/ child :: a and / self :: node ( )"),
        ("text()", "/ text ( )"),
        ("concat('a/b', q:c)", "concat ( 'a/b' , / q:c )"),
        ("(a)[1]/b", "( / a ) [ 1 ] / b"),
        ("-a", "- / a"),
        ("..", "/ .."),
    ],
)
def test_relative_paths_begin_at_the_document(path: str, expected: str) -> None:
    assert from_document(path) == expected


def test_long_predicates_are_not_simple() -> None:
    assert is_simple("/a/b[2]/@c") and is_simple("//a/text()")
    assert not is_simple("//a[b]") and not is_simple("//a//b")
    assert not is_simple("//*/following::*/preceding::*") and not is_simple("//a/..") and not is_simple("a*b")


@pytest.mark.parametrize(
    ("name", "full", "expected"),
    [
        ("plain", True, "plain"),
        ("a b", True, "a_x0020_b"),
        ("xmlish", True, "_x0078_mlish"),
        ("XML", True, "_x0058_ML"),
        ("xml", False, "xml"),
        ("a:b", True, "a_x003A_b"),
        (":b", False, "_x003A_b"),
        ("a:b", False, "a:b"),
        ("_x41", True, "_x005F_x41"),
        ("1a", True, "_x0031_a"),
        ("größe", True, "größe"),
        ("a\N{PILE OF POO}", True, "a_x1F4A9_"),
    ],
)
def test_names(name: str, full: bool, expected: str) -> None:
    assert xml_name(name, full) == expected


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0", max_codepoint=0xFFFF), max_size=12))
def test_names_say_which_identifier_they_are_of(name: str) -> None:
    assert identifier_of(xml_name(name, True, True)) == name


def test_nothing_outside_the_text_is_read(tmp_path: object) -> None:
    path = f"{tmp_path}/secret"
    with open(path, "w") as file:
        file.write("secret")
    for uri in (f"file://{path}", path, "http://127.0.0.1:9/x"):
        text = f'<!DOCTYPE a [<!ENTITY e SYSTEM "{uri}">]><a>&e;</a>'
        assert libxml.check_document(text) is None
        assert "secret" not in "".join(libxml.document(text).root.itertext())
        assert checked(text, False) == text
        dtd = f'<!DOCTYPE a SYSTEM "{uri}"><a/>'
        assert libxml.check_document(dtd) is None


def test_entities_that_grow_without_bound_are_refused() -> None:
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "{"x" * 100}">{levels}]><a>&e11;</a>'
    with pytest.raises(InvalidXmlDocument):
        checked(bomb, True)
    with pytest.raises(InvalidXmlContent):
        checked(bomb, False)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InvalidXmlContent):
        checked("<a>" * 100_000 + "</a>" * 100_000, False)


def test_a_long_document_is_checked_as_a_short_one() -> None:
    long = "<r>" + "<i>é&lt;</i>" * 20_000 + "</r>"
    assert len(long) > libxml.LONG
    assert checked(long, True) == long == checked(long, False)
    with pytest.raises(InvalidXmlDocument):
        checked(long + "<", True)
    with pytest.raises(InvalidXmlContent, match="invalid XML content") as caught:
        checked(long + "&x;", False)
    assert caught.value.detail is not None and caught.value.detail.startswith("line 1: Entity 'x' not defined")


def test_where_an_error_is() -> None:
    with pytest.raises(InvalidXmlContent) as caught:
        checked("<a>\n\té<b></c>\n</a>", False)
    assert caught.value.detail == (
        "line 2: Opening and ending tag mismatch: b line 2 and c\n\té<b></c>\n\t" + " " * 9 + "^"
    )


@given(st.text("a\n", max_size=40), st.sets(st.integers(1, 30), max_size=5), st.integers(1, 9))
def test_lines_are_where_a_split_has_them(text: str, numbers: set[int], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(libxml, "PIECE", piece)
        found = libxml._line_places(text, numbers)
    lines = text.split("\n")
    assert {number: text[start:end] for number, (start, end) in found.items()} == {
        number: lines[number - 1] for number in numbers if number <= len(lines)
    }


@pytest.mark.parametrize(
    ("work", "pulses"),
    [
        (lambda: attribute_text("<&" * 200_000), 10),
        (lambda: concatenated(["<a/>"] * 100_000), 10),
        (lambda: checked("a" * 3_000_000, False), 10),
        (lambda: xpath.numbered("<a é='é'/>" * 50_000), 10),
        (lambda: libxml.detail_of("a\n" * 3_000_000, [libxml.Problem(2_000_000, 1, "x", "", "", 0)]), 5),
    ],
)
def test_long_values_let_others_run(work: Callable[[], object], pulses: int) -> None:
    before = HUB.pulses
    work()
    assert HUB.pulses - before >= pulses


def test_nodes_of_a_long_document_are_written_by_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def run(function: Callable[..., object], *arguments: object) -> object:
        taken.append(function)
        return function(*arguments)

    monkeypatch.setattr(xpath, "run_in_thread", run)
    parts = [f"<a b='é'>{n}</a>" for n in range(1000)]
    short, long = _document(f"<r>{''.join(parts[:10])}</r>"), _document(f"<r>{'<!-- -->' * 5000}{''.join(parts)}</r>")
    written = [part.replace("'é'", '"&#xE9;"') for part in parts]
    assert xpath.values(short.find("//a", {}), short) == written[:10] and not taken
    assert xpath.values(long.find("//a", {}), long) == written and len(taken) == 4


def test_binary_form() -> None:
    assert XML.receive is not None and XML.send is not None
    assert XML.receive(b"<a>\xc3\xa9</a>", -1) == "<a>é</a>"
    declared = '<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'
    value = XML.receive(declared.encode("latin-1"), -1)
    assert value == declared
    assert XML.send(value) == "<a>é</a>".encode()
    with pytest.raises(InvalidXmlContent):
        XML.receive(b"<a>", -1)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")))
def test_an_attribute_reads_as_it_was(text: str) -> None:
    root = libxml.document(f'<a b="{attribute_text(text)}"/>').root
    assert root.get("b") == text


def test_declarations() -> None:
    found = read_declaration("<?xml version='1.1' encoding='x' standalone='no' ?>rest")
    assert (found.version, found.encoding, found.standalone) == ("1.1", "x", 0)
    assert read_declaration("<?xml-stylesheet?>").end == 0
    assert shown('<?xml version="1.0" encoding="x"?>\n<a/>') == "<a/>"
    assert has_doctype("<!-- x --> <?p i?><!DOCTYPE a>", 0) and not has_doctype("<a/><!DOCTYPE a>", 0)
    assert concatenated(['<?xml version="1.1" standalone="yes"?>a', '<?xml version="1.1"?>b']) == (
        '<?xml version="1.1"?>ab'
    )


class _Session:
    def notice(self, error: SqlError, level: str) -> None:
        raise AssertionError(error)


def _document(text: str) -> xpath.Document:
    return xpath.Document(cast(FunctionContext, SimpleNamespace(session=_Session())), text)


def _in_greenlet(function: Callable[[], object]) -> object:
    """What a function gives, or the error that it raises, in a greenlet that may wait."""

    async def main() -> object:
        loop = asyncio.get_running_loop()
        HUB.bind(loop)
        done = loop.create_future()

        def run() -> None:
            try:
                done.set_result(function())
            except SqlError as error:
                done.set_result(error)

        HUB.run(run)
        return await asyncio.wait_for(done, 20)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "threads"),
    [
        ("/r/a", 0), ("r/a/text()", 0), ("//a", 0), ("/r/a[2]", 0), ("/r/a/@b", 0), ("./r/*", 0),
        ("//*/following::*/preceding::*", 1), ("//*//*", 1), ("//*/..", 1), ("//a[. = 1]", 1), ("count(//a)", 1),
        ("//node()" + "/." * 200, 1),
    ],
)  # fmt: skip
def test_only_hard_expressions_take_a_thread(path: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    document = _document("<r><a b='1'>1</a><a>2</a></r>")
    taken = []

    def run(function: Callable[..., object], *arguments: object) -> object:
        taken.append(function)
        return function(*arguments)

    monkeypatch.setattr(workers.XPATHS, "run", run)
    assert document.find(path, {}) is not None
    assert len(taken) == threads


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("e:test('a', '(a+)+$')", "regular-expressions"),
        ("e:padding(2000000000, 'x')", "strings"),
        ("//a[e:distinct(.)]", "sets"),
        ("string(e:date-time ())", "dates-and-times"),
    ],
)
def test_an_expression_calls_no_function_that_xpath_has_not(path: str, uri: str) -> None:
    document = _document("<a/>")
    with pytest.raises(InternalError, match="could not create XPath object") as caught:
        document.find(path, {"e": f"http://exslt.org/{uri}"})
    assert caught.value.detail == "Unregistered function"
    assert document.find("child::e:a[. = 'e:test()']/self::node()", {"e": f"http://exslt.org/{uri}"}) == []


def test_expressions_that_go_on_leave_the_threads_for_other_work() -> None:
    stop = Event()

    def both() -> object:
        for _ in range(workers.THREADS_MAX):
            HUB.loop.call_later(0.01, HUB.interrupt, greenlet.getcurrent(), QueryCanceled("cancelled"))
            with pytest.raises(QueryCanceled):
                workers.XPATHS.run(stop.wait)
        HUB.loop.call_later(0.01, HUB.interrupt, greenlet.getcurrent(), QueryCanceled("cancelled"))
        with pytest.raises(QueryCanceled):  # waits for one of them, and may be cancelled
            workers.XPATHS.run(stop.is_set)
        return workers.run_in_thread(len, "abc")

    try:
        assert _in_greenlet(both) == 3
    finally:
        stop.set()


def test_what_ends_after_the_loop_tells_nobody(caplog: pytest.LogCaptureFixture) -> None:
    stop, ended = Event(), Event()

    def work() -> None:
        stop.wait()
        ended.set()

    def leave() -> object:
        HUB.loop.call_later(0.01, HUB.interrupt, greenlet.getcurrent(), QueryCanceled("cancelled"))
        return workers.XPATHS.run(work)

    assert isinstance(_in_greenlet(leave), QueryCanceled)
    stop.set()
    assert ended.wait(5)
    _in_greenlet(lambda: [workers.XPATHS.run(bool) for _ in range(4)])
    assert not caplog.records

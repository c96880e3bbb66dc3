"""What the documentation names exists: code paths in backticks, relative links, and identifiers beside code paths."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("aurora", "compute_node", "storage_node", "tests", "protos", "benchmarks", "docs")

_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_IDENTIFIER = re.compile(r"_?[A-Z]\w*(?:\.\w+)?|[A-Z][A-Z_]+|\w+\.\w+|[a-z]\w*_\w+")


def _prose(document: Path) -> str:
    return _FENCE.sub("", document.read_text())


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@cache
def _words() -> frozenset[str]:
    """Every name in the sources that the documents may speak of."""
    found: set[str] = set()
    for folder in FOLDERS[:-1]:
        for pattern in ("*.py", "*.pyx", "*.proto", "*.json"):
            for path in (ROOT / folder).rglob(pattern):
                found.update(re.findall(r"\w+", path.read_text()))
    return frozenset(found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_paths_exist(document: Path) -> None:
    named = [span for span in _CODE.findall(_prose(document)) if _PATH.fullmatch(span)]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_resolve(document: Path) -> None:
    broken = []
    for target in _LINK.findall(_prose(document)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (document.parent / path).resolve() if path else document
        if not goal.exists():
            broken.append(target)
        elif anchor:
            headings = re.findall(r"^#+ (.*)$", goal.read_text(), re.MULTILINE)
            if anchor not in [_anchor(heading) for heading in headings]:
                broken.append(target)
    assert broken == []


@cache
def _classes() -> dict[str, frozenset[str]]:
    """Class or message → every name in the files that define one of that name."""
    found: dict[str, frozenset[str]] = {}
    for folder in FOLDERS[:-1]:
        for pattern in ("*.py", "*.pyx", "*.proto"):
            for path in (ROOT / folder).rglob(pattern):
                text = path.read_text()
                words = frozenset(re.findall(r"\w+", text))
                for name in re.findall(r"^\s*(?:cdef )?(?:class|message) (\w+)", text, re.MULTILINE):
                    found[name] = found.get(name, frozenset()) | words
    return found


@pytest.mark.parametrize("document", sorted((ROOT / "docs" / "architecture").glob("*.md")), ids=lambda path: path.name)
def test_members_are_in_the_files_of_their_classes(document: Path) -> None:
    named = [
        span.split(".") for span in _CODE.findall(_prose(document)) if re.fullmatch(r"_?[A-Z]\w*[a-z]\w*\.\w+", span)
    ]
    strange = [
        f"{name}.{member}"
        for name, member in named
        if member not in ("json", "md") and member not in _classes().get(name, frozenset())
    ]
    assert strange == []


@pytest.mark.parametrize("document", sorted((ROOT / "docs" / "architecture").glob("*.md")), ids=lambda path: path.name)
def test_identifiers_are_in_the_sources(document: Path) -> None:
    """A class, method or constant that an architecture page names must still be somewhere in the code."""
    unknown = []
    for span in _CODE.findall(_prose(document)):
        if "/" in span or not _IDENTIFIER.fullmatch(span):
            continue
        unknown += [word for word in span.split(".") if word not in _words() and word not in ("json", "md")]
    assert unknown == []


def test_every_stage_has_a_page() -> None:
    """The architecture's table of contents and its folder agree."""
    folder = ROOT / "docs" / "architecture"
    linked = set(_LINK.findall((folder / "README.md").read_text()))
    assert {path.name for path in folder.glob("*.md")} - {"README.md"} <= linked


def test_every_package_of_a_stage_is_documented() -> None:
    """A newcomer finds each folder of code from the architecture pages."""
    text = "".join(path.read_text() for path in (ROOT / "docs" / "architecture").glob("*.md"))
    packages = [
        path.parent.relative_to(ROOT).as_posix() + "/"
        for top in ("compute_node", "storage_node", "aurora")
        for path in (ROOT / top).glob("*/__init__.py")
    ]
    assert [package for package in packages if f"{package}" not in text] == []


def test_decisions_are_dated_and_say_what_was_rejected() -> None:
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        if path.name == "README.md":
            continue
        text = path.read_text()
        assert re.match(r"# .+\n\n\d{4}-\d{2}-\d{2}\n", text), path.name
        assert "**Decision.**" in text and "**Rejected.**" in text, path.name


def test_decisions_are_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    linked = set(_LINK.findall((folder / "README.md").read_text()))
    assert {path.name for path in folder.glob("*.md")} - {"README.md"} == linked


def test_formats_that_have_a_magic_name_it() -> None:
    """Magic numbers in the document are those of the code."""
    from aurora.batch import MAGIC as BATCH
    from aurora.encryption import MAGIC as SEALED
    from aurora.keys import MAGIC as KEY
    from aurora.sealed_store import MAGIC as SEALED_OBJECT
    from compute_node.access.superblock import MAGIC as SUPERBLOCK
    from storage_node.meta import MAGIC as META
    from storage_node.page_store import MAGIC as TORN

    text = (ROOT / "docs" / "formats.md").read_text()
    for magic in (BATCH, KEY, META, SEALED, SEALED_OBJECT, SUPERBLOCK, TORN):
        assert magic.decode() in text

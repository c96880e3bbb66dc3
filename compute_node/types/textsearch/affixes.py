"""Affix files of Ispell, Hunspell and MySpell (manual, 12.6.5): which endings and beginnings a word may take."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from aurora.errors import ConfigFileError
from compute_node.types import ctype
from compute_node.types.textsearch import files

ONLY, BEGIN, MIDDLE, LAST, PERMIT, FORBID, CROSS = 1, 2, 4, 8, 16, 32, 64
COMPOUND: Final = BEGIN | MIDDLE | LAST
OF_WORDS: Final = ONLY | COMPOUND
"""What a word's own flags may say of compounds"""


class Affix(NamedTuple):
    """``find`` of a base word becomes ``put``; ``fits`` tells which base words it is for."""

    flag: str
    flags: int
    is_suffix: bool
    find: str
    put: str
    fits: Callable[[str], object] | None


_COMPOUND_COMMANDS: Final = (
    ("COMPOUNDFLAG", COMPOUND), ("COMPOUNDBEGIN", BEGIN), ("COMPOUNDLAST", LAST), ("COMPOUNDEND", LAST),
    ("COMPOUNDMIDDLE", MIDDLE), ("ONLYINCOMPOUND", ONLY), ("COMPOUNDPERMITFLAG", PERMIT),
    ("COMPOUNDFORBIDFLAG", FORBID),
)  # fmt: skip
_NUMBER_MAX: Final = 65000
_NEW_COMMANDS: Final = ("COMPOUNDFLAG", "COMPOUNDMIN", "PFX", "SFX")
_ENTRY: Final = re.compile(r"([^>]*)>\s*(?:-\s*([^,\s]*)\s*,\s*)?(\S*)")


class Affixes:
    """The contents of one file. ``compound``: what flags say of compounds, by flag."""

    def __init__(self, name: str) -> None:
        self.found: list[Affix] = []
        self.compound: dict[str, int] = {}
        self.mode = "char"
        self.aliases: list[str] | None = None
        self._name = name
        if not self._old():
            self.found.clear()
            self.compound.clear()
            self._new()

    # flags

    def split(self, text: str) -> list[str]:
        """The flags of a set as it is written."""
        if self.mode == "long":
            if len(text) % 2:
                raise ConfigFileError(f'invalid affix flag "{text}" with "long" flag value')
            return [text[at : at + 2] for at in range(0, len(text), 2)]
        if self.mode == "num":
            return self._numbers(text)
        return list(text)

    @staticmethod
    def _numbers(text: str) -> list[str]:
        if text and not re.fullmatch(r"\d+(?:\s*,\s*\d+)*\s*", text):
            raise ConfigFileError(f'invalid affix flag "{text}"')
        found = [int(each) for each in re.findall(r"\d+", text)]
        for each in found:
            if each > _NUMBER_MAX:
                raise ConfigFileError(f'affix flag "{each}" is out of range')
        return [str(each) for each in found]

    def flags_of(self, text: str) -> list[str]:
        """The flags of a word or an affix: a set, or the number of one."""
        if self.aliases is None or not text:
            return self.split(text)
        if not text.isdecimal():
            raise ConfigFileError(f'invalid affix alias "{text}"')
        number = int(text)
        return self.split(self.aliases[number - 1]) if 0 < number <= len(self.aliases) else []

    def compound_value(self, flags: list[str]) -> int:
        """What the flags say of compounds."""
        value = 0
        for flag in flags:
            value |= self.compound.get(flag, 0)
        return value

    # Ispell's own format

    def _old(self) -> bool:
        """Read Ispell's format; False for a file in the newer one."""
        kind = flag = ""
        flags = 0
        is_old = False
        for line in files.lines(self._name, "affix", "affix"):
            lowered = ctype.lower(line)
            if not line.strip() or lowered.startswith("#"):
                continue
            if lowered.startswith("compoundwords"):
                words = line.split()
                at = next((number for number, word in enumerate(words[1:], 1) if "l" in word.lower()), 0)
                if at:
                    if at + 1 < len(words):
                        self.compound[words[at + 1][0]] = COMPOUND
                    is_old = True
                    continue
            if lowered.startswith(("suffixes", "prefixes")):
                kind, is_old = lowered[:1], True
                continue
            if lowered.startswith("flag"):
                match = re.match(r"\s*([*~]?)\\?(.)(?=$|[#:\s])", line[4:])
                if match is not None and match[2].isascii():
                    flag, is_old = match[2], True
                    flags = {"*": CROSS, "~": ONLY, "": 0}[match[1]]
                    continue
                return self._is_new(is_old)
            if line.startswith(_NEW_COMMANDS):
                return self._is_new(is_old)
            if kind:
                self._old_entry(lowered.partition("#")[0], flag, flags, kind == "s")
        return True

    @staticmethod
    def _is_new(is_old: bool) -> bool:
        if is_old:
            raise ConfigFileError("affix file contains both old-style and new-style commands")
        return False

    def _old_entry(self, text: str, flag: str, flags: int, is_suffix: bool) -> None:
        match = _ENTRY.search(text)
        if match is None:
            return
        mask, find, put = match[1].replace(" ", "").replace("\t", ""), match[2] or "", match[3]
        if mask and (find or put):
            self._add(flag, flags, is_suffix, mask, find, put)

    def _add(self, flag: str, flags: int, is_suffix: bool, mask: str, find: str, put: str) -> None:
        fits = None
        if mask not in (".", ""):
            pattern = f"(?:{mask})$" if is_suffix else f"^(?:{mask})"
            try:
                fits = re.compile(pattern).search
            except re.error as error:
                raise ConfigFileError(f"invalid regular expression: {error}") from None
        if flags & (ONLY | PERMIT) and not flags & COMPOUND:
            flags |= COMPOUND
        self.found.append(Affix(flag, flags, is_suffix, find, put, fits))

    # Hunspell's and MySpell's

    def _commands(self) -> Iterator[str]:
        for line in files.lines(self._name, "affix", "affix"):
            if line and not line[0].isspace() and not line.startswith("#"):
                yield line

    def _new(self) -> None:
        for line in self._commands():
            if line.startswith("FLAG"):
                mode = line[4:].split()[:1]
                if mode and mode[0].startswith(("long", "num")):
                    self.mode = "long" if mode[0].startswith("long") else "num"
                elif mode and not mode[0].startswith("default"):
                    raise ConfigFileError('Ispell dictionary supports only "default", "long", and "num" flag values')
        for line in self._commands():
            for command, value in _COMPOUND_COMMANDS:
                if line.startswith(command):
                    self._add_compound(line[len(command) :].strip(), value)
                    break
        flags, is_suffix, wanted = 0, True, 0
        for line in self._commands():
            words = line.split()
            kind = ctype.lower(words[0])
            if kind.startswith("af"):
                if self.aliases is None:
                    self.aliases = []
                    wanted = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
                    if wanted <= 0:
                        raise ConfigFileError("invalid number of flag vector aliases")
                elif len(self.aliases) < wanted:
                    self.aliases.append(words[1] if len(words) > 1 else "")
                else:
                    raise ConfigFileError(f"number of aliases exceeds specified number {wanted}")
                continue
            if len(words) < 4 or not kind.startswith(("sfx", "pfx")) or not self._is_flag(words[1]):
                continue
            if len(words) == 4:
                is_suffix = kind.startswith("sfx")
                flags = CROSS if words[2][:1] in "yY" else 0
                continue
            self._new_entry(words, flags, is_suffix)

    def _is_flag(self, text: str) -> bool:
        limit = {"char": 1, "long": 2}.get(self.mode)
        return limit is None or len(text) <= limit

    def _new_entry(self, words: list[str], flags: int, is_suffix: bool) -> None:
        find, (put, slash, more) = words[2], words[3].partition("/")
        if slash:
            flags |= self.compound_value(self.flags_of(more))
        flag = self.split(words[1])[0] if self.mode == "num" else words[1]
        find, put = ("" if each.startswith("0") else ctype.lower(each) for each in (find, put))
        self._add(flag, flags, is_suffix, ctype.lower(words[4]), find, put)

    def _add_compound(self, text: str, value: int) -> None:
        flag = text.split()[0] if text else ""
        if not flag:
            raise ConfigFileError("syntax error")
        key = self.split(flag)[0]
        self.compound[key] = self.compound.get(key, 0) | value

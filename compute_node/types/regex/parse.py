"""Tokens → what an expression matches (``Ast``) and how a match is taken apart (``Piece``).

The rules of preference are PostgreSQL's (manual, 9.7.3.5): a quantified atom prefers long or short matches, a branch
takes the preference of its first quantified atom that has one, alternatives joined by ``|`` always prefer long ones.
The overall match follows the preference of the whole. Inside it, a concatenation gives its left part as much (or as
little) as that part prefers and as the right part allows. Only what captures, refers back or mixes preferences needs a
``Piece`` of its own: everything else stays one ``plain`` piece, whatever it is made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aurora.datum import Row
from aurora.kernels.python.regex import BOL, BOS, EOL, EOS, LOOK, NO_WORD_EDGE, WORD_EDGE, WORD_END, WORD_START
from compute_node.types import ctype
from compute_node.types.ctype import Ranges, complement, normalize
from compute_node.types.regex import syntax
from compute_node.types.regex.syntax import ASCII, ICASE, NLANCH, NLSTOP, Lexer, invalid

Ast = Row
"""``("set", ranges)``, ``("cat", asts)``, ``("alt", asts)``, ``("rep", ast, least, most)`` (most None: no limit),
``("cond", what)``; ``EMPTY``."""

EMPTY: Ast = ("cat", ())
REPEAT_MAX = 255
BACKREF = -1

LONGER, SHORTER, MIXED, CAPTURES, REFERS = (1 << bit for bit in range(5))
_UP = MIXED | CAPTURES | REFERS


def up(flags: int) -> int:
    """What of a part's properties the whole has too."""
    both = flags & (LONGER | SHORTER) == (LONGER | SHORTER)
    return flags & _UP | (MIXED if both else 0)


def combine(first: int, second: int) -> int:
    """The properties of a first part with a second one: the preference is the first one's, if it has any."""
    own = first & (LONGER | SHORTER)
    return up(first | second) | (own or second & (LONGER | SHORTER))


def messy(flags: int) -> bool:
    """Whether a match must be taken apart."""
    return flags & _UP != 0


@dataclass(slots=True, eq=False)
class Piece:
    """``kind``: plain, concat (two kids), alternatives, repeat (one kid, ``least`` to ``most``), group (a second name
    for its kid), backref (``refers`` to a group, ``least`` to ``most`` times). ``capture``: the group number, or 0."""

    kind: str
    flags: int
    ast: Ast
    kids: list[Piece] = field(default_factory=list)
    capture: int = 0
    refers: int = 0
    least: int = 1
    most: int | None = 1

    def captures_below(self) -> list[int]:
        """The groups in this piece."""
        found = [self.capture] if self.capture else []
        for kid in self.kids:
            found += kid.captures_below()
        return found


def without_conditions(ast: Ast) -> Ast:
    """What the text of a group can look like wherever it is repeated."""
    if ast[0] == "cond":
        return EMPTY
    if ast[0] in ("cat", "alt"):
        return (ast[0], tuple(without_conditions(kid) for kid in ast[1]))
    if ast[0] == "rep":
        return ("rep", without_conditions(ast[1]), ast[2], ast[3])
    return ast


def cat(*asts: Ast) -> Ast:
    """One after the other."""
    kept = [ast for ast in asts if ast != EMPTY]
    return kept[0] if len(kept) == 1 else ("cat", tuple(kept))


def cases(code: int, tables: tuple[dict[int, int], dict[int, int]]) -> list[int]:
    """A character in both cases. ``tables``: to lower case, and to upper case."""
    low, high = (table.get(code, code) for table in tables)
    return [low] if low == high else [low, high]


class Parser:
    """``piece`` is the whole expression, ``groups`` counts its captures, ``looks`` are its lookaround constraints as
    (direction, ast)."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.lexer = Lexer(pattern, flags)
        self.flags = self.lexer.flags
        self.looks: list[tuple[str, Ast]] = []
        self._tables = ctype.ascii_tables() if flags & ASCII else ctype.case_tables()
        self._groups: dict[int, Piece] = {}
        self.piece = self._alternatives("end", False)

    @property
    def groups(self) -> int:
        """How many capturing groups there are."""
        return self.lexer.groups

    def _alternatives(self, stopper: str, in_look: bool) -> Piece:
        branches = [self._branch(stopper, in_look)]
        flags = LONGER | up(LONGER | branches[0].flags)
        while self.lexer.kind == "|":
            self.lexer.advance()
            branches.append(self._branch(stopper, in_look))
            flags |= up(flags | branches[-1].flags)
        if self.lexer.kind != stopper:
            raise invalid(syntax.BAD_PARENS)
        if len(branches) == 1:
            return branches[0]
        ast = ("alt", tuple(branch.ast for branch in branches))
        if messy(flags):
            return Piece("alternatives", flags, ast, branches)
        return Piece("plain", flags, ast)

    def _at_end(self, stopper: str) -> bool:
        return self.lexer.kind in ("|", stopper, "end")

    def _branch(self, stopper: str, in_look: bool) -> Piece:
        items: list[Ast] = []
        flags = 0
        while not self._at_end(stopper):
            constraint = self._constraint()
            if constraint is not None:
                items.append(constraint)
                continue
            ast, atom, capturing = self._atom(in_look)
            least, most, prefers = self._quantifier()
            if least == 0 and most == 0:
                # Its groups stay: one may refer back to them, in vain.
                items.append(("cat", (EMPTY,)))
                continue
            joined = flags | prefers | (atom.flags if atom is not None else 0)
            if not capturing and not messy(up(joined)):
                items.append(ast if (least, most) == (1, 1) else ("rep", ast, least, most))
                flags = joined
                continue
            prefix = Piece("plain", flags, ("cat", tuple(items))) if items else None
            whole = combine(prefers, atom.flags if atom is not None else 0)
            quantified = _repeated(atom or Piece("plain", 0, ast), least, most, prefers, capturing == BACKREF)
            return self._messy(prefix, flags, quantified, whole, stopper, in_look)
        return Piece("plain", flags, ("cat", tuple(items)))

    def _messy(
        self, prefix: Piece | None, flags: int, quantified: Piece, whole: int, stopper: str, in_look: bool
    ) -> Piece:
        """The rest of a branch from its first atom on that must be taken apart."""
        if self._at_end(stopper):
            if prefix is None:
                return quantified
            joined = flags | combine(flags, quantified.flags)
            return Piece("concat", joined, cat(prefix.ast, quantified.ast), [prefix, quantified])
        rest = self._branch(stopper, in_look)
        whole |= combine(whole, rest.flags)
        joined = flags | combine(flags, whole)
        both = cat(quantified.ast, rest.ast)
        if prefix is None:
            return Piece("concat", joined, both, [quantified, rest])
        if quantified.kind == rest.kind == "plain" and not messy(up(quantified.flags | rest.flags)):
            if not (quantified.capture or rest.capture):
                second = Piece("plain", combine(quantified.flags, rest.flags), both)
                return Piece("concat", joined, cat(prefix.ast, both), [prefix, second])
        second = Piece("concat", whole, both, [quantified, rest])
        return Piece("concat", joined, cat(prefix.ast, both), [prefix, second])

    def _constraint(self) -> Ast | None:
        lexer = self.lexer
        lines = self.flags & NLANCH
        whats = {
            "^": BOL if lines else BOS, "$": EOL if lines else EOS, "bos": BOS, "eos": EOS,
            "<": WORD_START, ">": WORD_END, "wbdry": WORD_EDGE, "nwbdry": NO_WORD_EDGE,
        }  # fmt: skip
        if lexer.kind in whats:
            what = whats[lexer.kind]
            lexer.advance()
            return ("cond", what)
        if lexer.kind != "look":
            return None
        direction, negated = lexer.name, lexer.value
        lexer.advance()
        inner = self._alternatives(")", True)
        lexer.advance()
        self.looks.append((direction, inner.ast))
        return ("cond", LOOK + 2 * (len(self.looks) - 1) + negated)

    def _atom(self, in_look: bool) -> tuple[Ast, Piece | None, int]:
        """(what it matches, its piece if it has structure, the group that it captures, 0 or ``BACKREF``)."""
        lexer = self.lexer
        kind = lexer.kind
        ast: Ast
        if kind in ("*", "+", "?", "{"):
            raise invalid(syntax.BAD_OPERAND)
        if kind == "(":
            return self._group(in_look)
        if kind == "backref":
            target = self._groups.get(lexer.value)
            if in_look or target is None:
                raise invalid(syntax.BAD_BACKREF)
            piece = Piece("backref", REFERS, without_conditions(target.ast), refers=lexer.value)
            lexer.advance()
            return piece.ast, piece, BACKREF
        if kind == ")" and self.flags & syntax.ADVANCED != syntax.EXTENDED:
            raise invalid(syntax.BAD_PARENS)
        if kind in ("plain", ")"):
            ast = ("set", self._character(lexer.value))
        elif kind == "class":
            ast = ("set", self._class(lexer.name))
        elif kind == "not_class":
            ast = ("set", complement(self._class(lexer.name)))
        elif kind == ".":
            ast = ("set", complement(((10, 10),) if self.flags & NLSTOP else ()))
        elif kind == "[":
            ast = ("set", self._bracket())
        else:
            raise invalid(syntax.BAD_OPERAND)
        lexer.advance()
        return ast, None, 0

    def _group(self, in_look: bool) -> tuple[Ast, Piece | None, int]:
        lexer = self.lexer
        number = 0
        if lexer.value and not in_look:
            lexer.groups += 1
            number = lexer.groups
        lexer.advance()
        piece = self._alternatives(")", in_look)
        lexer.advance()
        if number:
            if piece.capture:
                piece = Piece("group", piece.flags, piece.ast, [piece])
            piece.capture = number
            piece.flags |= CAPTURES
            self._groups[number] = piece
        return piece.ast, piece, number

    def _number(self) -> int:
        lexer, number = self.lexer, 0
        while lexer.kind == "digit" and number < REPEAT_MAX:
            number = number * 10 + lexer.value
            lexer.advance()
        if lexer.kind == "digit" or number > REPEAT_MAX:
            raise invalid(syntax.BAD_REPETITION)
        return number

    def _quantifier(self) -> tuple[int, int | None, int]:
        """(least, most, preference) of what follows the atom."""
        lexer = self.lexer
        if lexer.kind in ("*", "+", "?"):
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[lexer.kind]
            prefers = LONGER if lexer.value else SHORTER
            lexer.advance()
            return least, most, prefers
        if lexer.kind != "{":
            return 1, 1, 0
        lexer.advance()
        low = self._number()
        high: int | None = low
        ranged = lexer.kind == ","
        if ranged:
            lexer.advance()
            high = self._number() if lexer.kind == "digit" else None
            if high is not None and low > high:
                raise invalid(syntax.BAD_REPETITION)
        if lexer.kind != "}":
            raise invalid(syntax.BAD_REPETITION)
        # {m} passes on its operand's preference.
        prefers = (LONGER if lexer.value else SHORTER) if ranged else 0
        lexer.advance()
        return low, high, prefers

    # ---- characters ----

    def _character(self, code: int) -> Ranges:
        if code > ctype.MAX_CODE:
            return ()
        codes = cases(code, self._tables) if self.flags & ICASE else [code]
        return normalize((each, each) for each in codes)

    def _class(self, name: str) -> Ranges:
        if self.flags & ICASE and name in ("lower", "upper"):
            name = "alpha"
        found = (ctype.ascii_class if self.flags & ASCII else ctype.char_class)(name)
        if found is None:
            raise invalid(syntax.BAD_CLASS)
        return found

    def _bracket(self) -> Ranges:
        lexer = self.lexer
        positive = lexer.value
        lexer.advance()
        found: list[tuple[int, int]] = []
        while lexer.kind != "]":
            found += self._bracket_part()
        ranges = normalize(found)
        if positive:
            return ranges
        if self.flags & NLSTOP:
            ranges = normalize((*ranges, (10, 10)))
        return complement(ranges)

    def _bracket_part(self) -> Ranges:
        lexer = self.lexer
        kind = lexer.kind
        if kind == "range":
            raise invalid(syntax.BAD_RANGE)
        if kind in ("class", "not_class"):
            ranges = self._class(lexer.name)
            lexer.advance()
            return ranges if kind == "class" else complement(ranges)
        if kind in ("equivalence", "char_class"):
            name = lexer.scan_name(kind)
            if not name:
                raise invalid(syntax.BAD_CLASS if kind == "char_class" else syntax.BAD_COLLATING)
            return self._class(name) if kind == "char_class" else self._character(syntax.collating_element(name))
        low = high = self._range_end()
        if lexer.kind == "range":
            lexer.advance()
            if lexer.kind not in ("plain", "range", "collating"):
                raise invalid(syntax.BAD_RANGE)
            high = self._range_end()
        elif kind == "plain":
            return self._character(low)
        if low > high:
            raise invalid(syntax.BAD_RANGE)
        return self._range(low, high)

    def _range_end(self) -> int:
        lexer = self.lexer
        if lexer.kind == "collating":
            name = lexer.scan_name("collating")
            if not name:
                raise invalid(syntax.BAD_COLLATING)
            return syntax.collating_element(name)
        code = lexer.value
        lexer.advance()
        return code

    def _range(self, low: int, high: int) -> Ranges:
        high = min(high, ctype.MAX_CODE)
        if low > high:
            return ()
        found = [(low, high)]
        if self.flags & ICASE:
            for table in self._tables:
                if high - low < len(table):
                    codes = [table[code] for code in range(low, high + 1) if code in table]
                else:
                    codes = [to for code, to in table.items() if low <= code <= high]
                found += [(code, code) for code in codes]
        return normalize(found)


def _repeated(atom: Piece, least: int, most: int | None, prefers: int, is_backref: bool) -> Piece:
    """A messy atom with its quantifier."""
    own = atom.flags & (LONGER | SHORTER | MIXED)
    if is_backref:
        atom.least, atom.most = least, most
        atom.ast = ("rep", atom.ast, least, most)
        atom.flags |= combine(prefers, atom.flags)
        return atom
    if (least, most) == (1, 1) and (prefers == 0 or own in (0, prefers)):
        return atom
    flags = combine(prefers, atom.flags)
    ast = ("rep", atom.ast, least, most)
    if not atom.flags & (CAPTURES | REFERS):
        return Piece("plain", flags, ast)
    if least > 0 and not atom.flags & REFERS:
        # Only the last round's captures count: x{m,n} is x{m-1,n-1}x, and the rounds before are plain.
        before = Piece(
            "plain", flags & (LONGER | SHORTER), ("rep", atom.ast, least - 1, None if most is None else most - 1)
        )
        return Piece("concat", flags, ("cat", (before.ast, atom.ast)), [before, atom])
    return Piece("repeat", flags, ast, [atom], least=least, most=most)

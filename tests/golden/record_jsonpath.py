"""Records what PostgreSQL makes of many paths: ``python tests/golden/record_jsonpath.py DSN`` → ``jsonpath.json``.

Paths are made from a grammar with a fixed seed, some of them broken by a random edit. ``texts``: path, canonical text
or error. ``calls``: number of the document, path, number of the variables, silent, function, and what it gives. A
result begins with ``=``, an error with its SQLSTATE; NULL and no rows are ``null``.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).resolve().parent
ZONE = "America/New_York"
TEXTS, CALLS = 1000, 2000

DOCUMENTS = [
    "null",
    "-0.50",
    '"abc"',
    "[]",
    "{}",
    "[1,2,3]",
    '[1,"a",null,true,[2,3],{"a":1}]',
    '{"a":1,"b":[1,2,{"a":[5,{"b":7}]}],"c":"xyz","d":null}',
    '[{"a":1,"b":2},{"a":"1"},{"b":null},3]',
    '{"a":[{"a":[1,2]},{"a":3,"b":"q"}]}',
    "[[1,2],[3,[4,5]]]",
    '["1.5","abc","1e400","NaN",2.5,1e20]',
    '["2020-01-01","2020-01-01 10:00:00","2020-01-01T10:00:00+01","10:00:00","10:00:00-05","x"]',
    '{"k":{"x":1.50,"yy":"s","zzz":[1,{"q":12345.678}]},"a":{"b":{"a":true}}}',
    "[-1,0,1,2.5,-2.5]",
    '["aB\\ncd","abd","b",""]',
]
VARIABLES = ['{"x":1,"s":"a","o":{"a":2,"zz":{"b":3}}}', "{}", "[]"]
FUNCTIONS = ["exists", "match", "query", "query_array", "query_first"]
PIECES = [
    *(
        "$",
        "@",
        "last",
        ".a",
        '."b c"',
        ".*",
        ".**",
        ".**{2}",
        ".**{1 to last}",
        ".**{last}",
        "[*]",
        "[0]",
        "[",
        "1 to 2",
    ),
    *("]", ",", "?", "(", ")", "? (@", "==", "!=", "<>", "<", "<=", ">", ">=", "&&", "||", "!", "exists", "is unknown"),
    *(
        "starts with",
        "with",
        'like_regex "a.b"',
        'flag "i"',
        'flag "q"',
        "+",
        "-",
        "*",
        "/",
        "%",
        "1",
        "-1",
        "1.5",
        ".5",
    ),
    *(
        "1e3",
        '"s"',
        "$v",
        '$"v w"',
        "true",
        "null",
        ".type()",
        ".datetime()",
        '.datetime("x")',
        ".keyvalue ()",
        ".abs()",
    ),
    *(
        ".double",
        "lax",
        "strict",
        " ",
        "/* c */",
        "\\",
        '"',
        "{",
        "}",
        "to",
        "and",
        "foo",
        "1a",
        "00",
        "\\u0041",
        "\\x4",
    ),
    *("\\ud83d", "#", "=", "&", ".", ".TRUE", "**", "'", "é"),
]
STEPS = [
    *(
        ".a",
        ".a",
        ".b",
        ".c",
        ".k",
        ".*",
        "[*]",
        "[*]",
        ".**",
        ".**{1}",
        ".**{1 to 2}",
        ".**{last}",
        ".type()",
        ".size()",
    ),
    *(
        ".datetime()",
        ".abs()",
        ".floor()",
        ".ceiling()",
        ".double()",
        ".keyvalue()",
        ".keyvalue().value",
        "[last]",
        "[0]",
    ),
    *("[1]", "[0,1 to 2]", "[-1]", "[5]", "[0 to last]", "[last - 1]"),
]


class Maker:
    """Random paths."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def path(self) -> str:
        """A path that is well formed, but for an ``@`` outside a filter now and then."""
        mode = self.random.choice(["", "strict ", "lax "])
        return mode + (
            self.expression(3, False, False) if self.random.random() < 0.6 else self.predicate(3, False, False)
        )

    def expression(self, depth: int, filtered: bool, subscript: bool) -> str:
        """An expression; ``filtered``: ``@`` may stand in it, ``subscript``: ``last`` may."""
        pick = self.random.random()
        inner = (depth - 1, filtered, subscript)
        if depth <= 0 or pick < 0.5:
            heads = ["$"] * 3 + ["@"] * 4 * filtered + ["last"] * subscript
            head = self.random.choice([*heads, "(1)", "0", "(-1)", "2.5", '"abc"', "$x", "$o", "null", "true"])
            return head + "".join(
                self.step(*inner) for _ in range(self.random.choice([0, 1, 1, 2, 3]) * (head[0] not in "02"))
            )
        if pick < 0.65:
            sign = self.random.choice("+-*/%")
            return f"{self.expression(*inner)} {sign} {self.expression(*inner)}"
        if pick < 0.72:
            return self.random.choice("+-") + self.expression(*inner)
        if pick < 0.9:
            return f"({self.expression(*inner)})" + self.random.choice(["", self.step(*inner)])
        return f"({self.predicate(*inner)}){self.step(*inner)}"

    def step(self, depth: int, filtered: bool, subscript: bool) -> str:
        """An accessor, a method or a filter."""
        pick = self.random.random()
        if depth <= 0 or pick < 0.65:
            return self.random.choice(STEPS)
        if pick < 0.75:
            end = self.random.choice(["", " to " + self.expression(depth - 1, filtered, True)])
            return f"[{self.expression(depth - 1, filtered, True)}{end}]"
        return f" ? ({self.predicate(depth - 1, True, subscript)})"

    def predicate(self, depth: int, filtered: bool, subscript: bool) -> str:
        """A predicate."""
        pick = self.random.random()
        inner = (depth - 1, filtered, subscript)
        if depth <= 0 or pick < 0.5:
            sign = self.random.choice(["==", "<", "!=", ">=", "<=", ">", "<>"])
            return f"{self.expression(*inner)} {sign} {self.expression(*inner)}"
        if pick < 0.6:
            return f"exists({self.expression(*inner)})"
        if pick < 0.68:
            return f"!({self.predicate(*inner)})"
        if pick < 0.8:
            return f"{self.predicate(*inner)} {self.random.choice(['&&', '||'])} {self.predicate(*inner)}"
        if pick < 0.88:
            return f"({self.predicate(*inner)}) is unknown"
        if pick < 0.94:
            prefix = self.random.choice(['"a"', "$s", "$x"])
            return f"{self.expression(*inner)} starts with {prefix}"
        patterns = ['"^a.*d$"', '"B" flag "i"', '"a.*d" flag "s"', '"a."  flag "q"', '"^c" flag "m"']
        return f"{self.expression(*inner)} like_regex {self.random.choice(patterns)}"

    def broken(self, path: str) -> str:
        """A path with one or two edits."""
        chars = list(path)
        for _ in range(self.random.randrange(1, 3)):
            at = self.random.randrange(len(chars) + 1)
            if self.random.random() < 0.4 and at < len(chars):
                del chars[at]
            else:
                chars.insert(at, self.random.choice([*PIECES, *'ab"\\1.0 ']))
        return "".join(chars)

    def text(self) -> str:
        """A path, a broken one, or pieces of paths in a row."""
        pick = self.random.random()
        if pick < 0.25:
            return "".join(
                self.random.choice(PIECES) + self.random.choice(["", " "]) for _ in range(self.random.randrange(1, 7))
            )
        return self.path() if pick < 0.55 else self.broken(self.path())

    def call(self) -> list[Any]:
        """document, path, variables, silent, function"""
        choice, number = self.random.choice, self.random.randrange
        function = f"jsonb_path_{choice(FUNCTIONS)}{choice(['', '', '_tz'])}"
        variables = choice([0] * 10 + [1, 2])
        return [number(len(DOCUMENTS)), self.path(), variables, self.random.random() < 0.3, function]


_ASK = """
create function pg_temp.ask(text, text, text, bool, text) returns text language plpgsql as $$
declare detail text; message text; state text; hint text; result text;
begin
    if $5 is null then
        return '=' || $2::jsonpath::text;
    elsif $5 ~ 'query(_tz)?$' then
        execute format('select string_agg(x::text, '';'') from %s($1::jsonb, $2::jsonpath, $3::jsonb, $4) x', $5)
            into result using $1, $2, $3, $4;
    else
        execute format('select %s($1::jsonb, $2::jsonpath, $3::jsonb, $4)::text', $5) into result using $1, $2, $3, $4;
    end if;
    return coalesce('=' || result, 'null');
exception when others then
    get stacked diagnostics detail = pg_exception_detail, message = message_text, state = returned_sqlstate,
        hint = pg_exception_hint;
    return state || ' ' || message || '|' || detail || '|' || hint;
end $$
"""


def main(dsn: str) -> None:
    """Ask PostgreSQL at ``dsn`` and write the file."""
    maker = Maker(15)
    texts = sorted({maker.text() for _ in range(TEXTS)})
    calls = [maker.call() for _ in range(CALLS)]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"set timezone = '{ZONE}'".encode())
        connection.execute(_ASK)

        def ask(*arguments: Any) -> str:
            row = connection.execute("select pg_temp.ask(%s, %s, %s, %s, %s)", arguments).fetchone()
            return str(row[0]) if row else ""

        recorded = {
            "texts": [[text, ask(None, text, None, None, None)] for text in texts],
            # Calls whose path is not one are of no use here.
            "calls": [
                [*call, answer]
                for call in calls
                if not (answer := ask(DOCUMENTS[call[0]], call[1], VARIABLES[call[2]], *call[3:])).startswith("42601")
            ],
        }
    lines = {kind: ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) for kind, rows in recorded.items()}
    text = ",\n".join(f'"{kind}": [\n{rows}\n]' for kind, rows in lines.items())
    (HERE / "jsonpath.json").write_text(f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

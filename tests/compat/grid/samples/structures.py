"""Ranges, arrays, JSON, addresses and shapes."""

# ruff: noqa: E501, E731  (one shape a line)
from __future__ import annotations

import random

R = random.Random


def _range(r: R) -> str:
    if r.random() < 0.1:
        return "empty"
    a, b = sorted((r.randint(-9, 9), r.randint(-9, 9)))
    low, high = r.choice([str(a), str(a), ""]), r.choice([str(b), str(b), ""])
    return f"{r.choice('[(')}{low},{high}{r.choice('])')}"


def ranges(r: R) -> str:
    t = r.choice(["int4range", "numrange", "int8range"])
    m = t.replace("range", "multirange")
    a, b, c = _range(r), _range(r), _range(r)
    one = lambda: r.choice([f"'{a}'::{t}", f"'{{{b},{c}}}'::{m}", f"'{{{a}}}'::{m}"])
    return r.choice(
        [
            f"{one()} {r.choice(['+', '-', '*', '&&', '@>', '<@', '<<', '>>', '&<', '&>', '-|-', '=', '<', '<=', '<>'])} {r.choice([f''''{b}'::{t}''', f''''{{{c},{a}}}'::{m}'''])}",
            f"'{a}'::{t} {r.choice(['+', '-', '*', '=', '<'])} '{b}'::{t}",
            f"'{{{a},{b}}}'::{m} {r.choice(['+', '-', '*', '=', '<'])} '{{{c},{b}}}'::{m}",
            f"range_merge('{a}'::{t}, '{b}')",
            f"range_merge('{{{a},{b}}}'::{m})",
            f"lower({one()})",
            f"upper({one()})",
            f"lower_inc({one()})",
            f"upper_inf({one()})",
            f"isempty({one()})",
            f"{one()} @> {r.randint(-9, 9)}",
            f"{r.randint(-9, 9)} <@ {one()}",
            f"array(SELECT unnest('{{{a},{b},{c}}}'::{m}))",
            f"(SELECT range_agg(x) FROM unnest(array['{a}','{b}','{c}']::{t}[]) x)",
            f"(SELECT range_intersect_agg(x) FROM unnest(array['{a}','{b}']::{t}[]) x)",
            f"{t}({r.randint(-5, 5)}, {r.randint(-5, 5)}, '{r.choice(['[]', '()', '[)', '(]', 'x'])}')",
            f"multirange('{a}'::{t})",
            f"'{{{a},{b},{c}}}'::{m}",
            f"hash_range('{a}'::{t}) = hash_range('{b}'::{t})",
        ]
    )


def _array(r: R, depth: int = 1) -> str:
    if depth == 2:
        width = r.randint(1, 3)
        rows = ["{" + ",".join(str(r.randint(-3, 5)) for _ in range(width)) + "}" for _ in range(r.randint(1, 3))]
        return "{" + ",".join(rows) + "}"
    body = (
        "{"
        + ",".join(r.choice([str(r.randint(-3, 5)), "NULL", str(r.randint(-3, 5))]) for _ in range(r.randint(0, 5)))
        + "}"
    )
    if body != "{}" and r.random() < 0.2:
        low = r.randint(-2, 3)
        return f"[{low}:{low + body.count(',')}]={body}"
    return body


def arrays(r: R) -> str:
    a, b, two = _array(r), _array(r), _array(r, 2)
    i, j, k = r.randint(-2, 5), r.randint(-2, 5), r.randint(-2, 5)
    x = f"'{r.choice([a, a, two])}'::int[]"
    return r.choice(
        [
            f"({x})[{i}]",
            f"({x})[{i}:{j}]",
            f"({x})[:{j}]",
            f"({x})[{i}:]",
            f"({x})[{i}][{j}]",
            f"({x})[{i}:{j}][{k}:]",
            f"({x})[{i}:{j}][{k}]",
            f"{x} || '{b}'::int[]",
            f"{x} || {i}",
            f"{i} || {x}",
            f"'{a}'::int[] {r.choice(['@>', '<@', '&&', '=', '<', '>='])} {x}",
            f"array_cat({x}, '{two}'::int[])",
            f"array_remove('{a}'::int[], {i})",
            f"array_replace({x}, {i}, {j})",
            f"array_position('{a}'::int[], {i})",
            f"array_positions('{a}'::int[], {i})",
            f"array_to_string({x}, ',', 'N')",
            f"array_dims({x})",
            f"array_upper({x}, {abs(i)})",
            f"cardinality({x})",
            f"trim_array({x}, {i})",
            f"array_fill({i}, array[{abs(j)},{abs(k)}])",
            f"{i} = ANY ({x})",
            f"{i} < ALL ({x})",
            f"array(SELECT unnest({x}))",
            f"to_json({x})",
            f"{x}::text[]",
            f"{x}::numeric[]",
            f"array_append('{a}'::int[], {i})",
            f"array_prepend({i}, '{a}'::int[])",
            f"(SELECT array_agg(x ORDER BY x DESC) FROM unnest({x}) x)",
            f"array_ndims({x})",
            f"array[{x}, '{b}'::int[]]",
            f"array_larger({x}, '{b}')",
            f"hash_array({x}) = hash_array('{b}'::int[])",
            f"width_bucket({i}, '{a}'::int[])",
            f"array(SELECT generate_subscripts({x}, {r.randint(1, 2)}))",
        ]
    )


def _json(r: R, depth: int = 0) -> str:
    kind = r.random()
    if depth > 2 or kind < 0.4:
        return r.choice(["1", "-2.50", '"a"', '"b c"', "true", "false", "null", "3", '"2020-01-01"', "1e3", '""'])
    if kind < 0.7:
        return "[" + ", ".join(_json(r, depth + 1) for _ in range(r.randint(0, 3))) + "]"
    return "{" + ", ".join(f'"{r.choice("abcd")}": {_json(r, depth + 1)}' for _ in range(r.randint(0, 3))) + "}"


def jsons(r: R) -> str:
    a, b, t = _json(r), _json(r), r.choice(["jsonb", "jsonb", "json"])
    key, path = (
        r.choice(["a", "b", "0", "-1", "zz"]),
        ",".join(r.choices(["a", "b", "0", "1", "-1"], k=r.randint(0, 3))),
    )
    return r.choice(
        [
            f"'{a}'::{t}",
            f"'{a}'::{t} -> '{key}'",
            f"'{a}'::{t} ->> {r.randint(-3, 3)}",
            f"'{a}'::{t} #> '{{{path}}}'",
            f"'{a}'::{t} #>> '{{{path}}}'",
            f"'{a}'::jsonb @> '{b}'",
            f"'{a}'::jsonb || '{b}'",
            f"'{a}'::jsonb - '{key}'",
            f"'{a}'::jsonb - {r.randint(-3, 3)}",
            f"'{a}'::jsonb #- '{{{path}}}'",
            f"'{a}'::jsonb < '{b}'",
            f"'{a}'::jsonb = '{b}'",
            f"'{a}'::jsonb ? '{key}'",
            f"jsonb_set('{a}', '{{{path}}}', '{b}', {r.choice(['true', 'false'])})",
            f"jsonb_insert('{a}', '{{{path}}}', '{b}', {r.choice(['true', 'false'])})",
            f"{t}_strip_nulls('{a}')",
            f"jsonb_pretty('{a}')",
            f"{t}_typeof('{a}')",
            f"array(SELECT {t}_array_elements('[{a},{b}]'))::text",
            f"array(SELECT {t}_each_text('{{\"q\": {a}}}'))::text",
            f"('{a}'::jsonb)['{key}'][{r.randint(-2, 2)}]",
            f"'{a}'::jsonb::numeric",
            f"jsonb_array_length('{a}')",
            f"hashtext(('{a}'::jsonb)::text)",
            f"jsonb_hash('{a}'::jsonb) = jsonb_hash('{b}'::jsonb)",
            f'array(SELECT jsonb_object_keys(\'{{"q": {a}, "a": 1, "bb": 2}}\'))',
            f"to_tsvector('simple', '{a}'::jsonb)",
        ]
    )


def paths(r: R) -> str:
    step = lambda: r.choice(
        [
            ".a",
            ".b",
            "[*]",
            "[0]",
            "[last]",
            "[0 to 1]",
            ".*",
            ".**",
            ".**{1}",
            ".size()",
            ".type()",
            ".keyvalue()",
            ".double()",
            ".abs()",
            ".floor()",
            ".ceiling()",
            '."c"',
            "[$.a]",
            ".datetime()",
        ]
    )
    test = r.choice(
        [
            "@ > 1",
            '@ == "a"',
            "@.a == 1",
            "exists(@.b)",
            '@ like_regex "^a"',
            '@ starts with "b"',
            "(@ > 1) is unknown",
            "@ != null",
            "@.size() > 1",
            "!(@ == 1)",
            "@.a > 0 && @.b < 5",
            "@ == true || @ == 3",
            '@ < "z"',
            '@.type() == "number"',
        ]
    )
    path = (
        r.choice(["", "", "strict ", "lax "])
        + "$"
        + "".join(step() for _ in range(r.randint(0, 3)))
        + r.choice(["", f" ? ({test})", f" ? ({test})"])
        + r.choice(["", "", ".a", "[*]"])
    )
    if r.random() < 0.2:
        path = f"{r.choice(['', 'strict '])}{r.choice(['-', '+', ''])}$.a {r.choice(['+', '-', '*', '/', '%', '==', '>', '<='])} {r.choice(['1', '$.b', '2.5', '0', '$[*]'])}"
    json = _json(r)
    return r.choice(
        [
            f"jsonb_path_query_array('{json}', '{path}')",
            f"jsonb_path_query_first('{json}', '{path}')",
            f"jsonb_path_exists('{json}', '{path}')",
            f"'{json}'::jsonb @? '{path}'",
            f"'{json}'::jsonb @@ '{path}'",
            f"jsonb_path_match('{json}', '{path}', '{{}}', true)",
            f"'{path}'::jsonpath",
            f"jsonb_path_query_array('{json}', '{path}', '{{\"x\": 1}}', true)",
        ]
    )


def network(r: R) -> str:
    def one() -> str:
        if r.random() < 0.3:
            return ":".join(r.choice(["0", "1", "ff", "2001", "db8", "ffff"]) for _ in range(8)) + r.choice(
                ["", f"/{r.randint(0, 128)}"]
            )
        return ".".join(str(r.choice([0, 1, 10, 127, 192, 255, r.randint(0, 255)])) for _ in range(4)) + r.choice(
            ["", f"/{r.randint(0, 32)}", f"/{r.randint(0, 33)}"]
        )

    a, b = one(), one()
    return r.choice(
        [
            f"inet '{a}' {r.choice(['<', '=', '<<', '<<=', '>>', '&&', '&', '|', '-'])} inet '{b}'",
            f"~inet '{a}'",
            f"inet '{a}' + {r.randint(-300, 300)}",
            f"host('{a}'::inet)",
            f"network('{a}'::inet)",
            f"broadcast('{a}'::inet)",
            f"netmask('{a}'::inet)",
            f"hostmask('{a}'::inet)",
            f"masklen('{a}'::inet)",
            f"set_masklen('{a}'::inet, {r.randint(-2, 40)})",
            f"abbrev('{a}'::inet)",
            f"abbrev('{a}'::inet::cidr)",
            f"inet_merge('{a}', '{b}')",
            f"inet_same_family('{a}', '{b}')",
            f"'{a}'::cidr",
            f"'{a}'::inet::text",
            f"family('{a}'::inet)",
            f"text('{a}'::inet)",
            f"'{'.'.join(a.split('.')[:2])}'::cidr",
        ]
    )


def shapes(r: R) -> str:
    p = lambda: f"({r.randint(-4, 4)},{r.choice([str(r.randint(-4, 4)), f'{r.uniform(-4, 4):.2f}'])})"
    made = lambda: r.choice(
        [
            f"point '{p()}'",
            f"box '{p()},{p()}'",
            f"lseg '[{p()},{p()}]'",
            f"path '[{p()},{p()},{p()}]'",
            f"path '({p()},{p()})'",
            f"polygon '({p()},{p()},{p()})'",
            f"circle '<{p()},{r.randint(0, 5)}>'",
            f"line '{{{r.randint(-2, 2)},{r.randint(1, 3)},{r.randint(-4, 4)}}}'",
        ]
    )
    a, b = made(), made()
    return r.choice(
        [
            f"{a} {r.choice(['<->', '##', '#', '&&', '<<', '>>', '&<', '&>', '<<|', '|>>', '?#', '?-', '?|', '?-|', '?||', '@>', '<@', '~=', '=', '+', '-', '*', '/'])} {b}",
            f"{a} {r.choice(['+', '-', '*', '/'])} point '{p()}'",
            f"area({a})",
            f"center({a})",
            f"@-@ {a}",
            f"# {a}",
            f"@@ {a}",
            f"?- {a}",
            f"box({a})",
            f"polygon({a})",
            f"circle({a})",
            f"path({a})",
            f"isclosed({a})",
            f"diagonal({a})",
            f"slope(point '{p()}', point '{p()}')",
            f"height({a})",
            f"bound_box(box '{p()},{p()}', box '{p()},{p()}')",
            f"line(point '{p()}', point '{p()}')",
        ]
    )

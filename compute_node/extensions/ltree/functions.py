"""ltree's operators and functions, over one value and over arrays (manual, F.23.2)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator

from aurora.datum import Datum
from aurora.errors import ArraySubscriptError, NullValueNotAllowed
from compute_node.extensions.library import define
from compute_node.extensions.ltree import lquery, ltxtquery, paths
from compute_node.types.array_value import Array, dimensions
from compute_node.types.long_text import paced

Test = Callable[[str, str], bool]


def elements(value: Array) -> Iterator[str]:
    """Of an array of paths or queries. 2202E, 22004."""
    if len(dimensions(value)) > 1:
        raise ArraySubscriptError("array must be one-dimensional")
    if any(each is None for each in value):
        raise NullValueNotAllowed("array must not contain nulls")
    return paced(value)


def is_descendant(one: str, other: str) -> bool:
    """Whether a path is below, or is, the other."""
    return paths.is_ancestor(other, one)


def _swapped(code: Callable[..., Datum]) -> Callable[..., Datum]:
    return lambda one, other: code(other, one)


def _any_path(test: Test) -> Callable[[Array, str], bool]:
    """Whether one of the paths meets a condition."""
    return lambda several, value: any(test(each, value) for each in elements(several))


def _first_path(test: Test) -> Callable[[Array, str], str | None]:
    """The first path that meets a condition."""
    return lambda several, value: next((each for each in elements(several) if test(each, value)), None)


def _any_query(path: str, queries: Array) -> bool:
    return any(lquery.matches(path, each) for each in elements(queries))


def _any_path_and_query(several: Array, queries: Array) -> bool:
    return any(any(lquery.matches(each, query) for each in elements(several)) for query in elements(queries))


for _word, _compare in (
    ("lt", operator.lt), ("le", operator.le), ("gt", operator.gt), ("ge", operator.ge), ("eq", operator.eq),
    ("ne", operator.ne),
):  # fmt: skip
    define(
        f"ltree_{_word}", 2, lambda one, other, compare=_compare: compare(paths.sort_key(one), paths.sort_key(other))
    )
for _symbol, _arguments, _code in (
    ("ltree_cmp", 2, paths.compare),
    ("subltree", 3, paths.subtree),
    ("subpath", 2, paths.subpath),
    ("subpath", 3, paths.subpath),
    ("ltree_index", 2, paths.index),
    ("ltree_index", 3, paths.index),
    ("nlevel", 1, paths.level_count),
    ("ltree2text", 1, lambda value: value),
    ("text2ltree", 1, paths.path_of),
    ("_lca", 1, lambda several: paths.common_ancestor_of(list(elements(several)))),
    ("ltree_isparent", 2, paths.is_ancestor),
    ("ltree_risparent", 2, is_descendant),
    ("ltree_addltree", 2, paths.concat),
    ("ltree_addtext", 2, lambda value, text: paths.concat(value, paths.path_of(text))),
    ("ltree_textadd", 2, lambda text, value: paths.concat(paths.path_of(text), value)),
    ("ltq_regex", 2, lquery.matches),
    ("ltq_rregex", 2, _swapped(lquery.matches)),
    ("lt_q_regex", 2, _any_query),
    ("lt_q_rregex", 2, _swapped(_any_query)),
    ("ltxtq_exec", 2, ltxtquery.matches),
    ("ltxtq_rexec", 2, _swapped(ltxtquery.matches)),
    ("_ltree_isparent", 2, _any_path(paths.is_ancestor)),
    ("_ltree_r_isparent", 2, _swapped(_any_path(paths.is_ancestor))),
    ("_ltree_risparent", 2, _any_path(is_descendant)),
    ("_ltree_r_risparent", 2, _swapped(_any_path(is_descendant))),
    ("_ltq_regex", 2, _any_path(lquery.matches)),
    ("_ltq_rregex", 2, _swapped(_any_path(lquery.matches))),
    ("_lt_q_regex", 2, _any_path_and_query),
    ("_lt_q_rregex", 2, _swapped(_any_path_and_query)),
    ("_ltxtq_exec", 2, _any_path(ltxtquery.matches)),
    ("_ltxtq_rexec", 2, _swapped(_any_path(ltxtquery.matches))),
    ("_ltree_extract_isparent", 2, _first_path(paths.is_ancestor)),
    ("_ltree_extract_risparent", 2, _first_path(is_descendant)),
    ("_ltq_extract_regex", 2, _first_path(lquery.matches)),
    ("_ltxtq_extract_exec", 2, _first_path(ltxtquery.matches)),
):
    define(_symbol, _arguments, _code)
for _count in range(2, 9):
    define("lca", _count, paths.common_ancestor)

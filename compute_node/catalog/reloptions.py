"""WITH (…) of tables, TOAST tables, indexes and views: one table of options, one check. Source: PostgreSQL, CREATE
TABLE and CREATE INDEX, "Storage Parameters"; CREATE VIEW.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from pglast import ast

from aurora.errors import InvalidParameterValue, NotSupported, SqlSyntaxError
from compute_node.relations.access_methods import AccessMethod
from compute_node.types.boolean import boolean_word

TABLE: Final = "table"
PARTITIONED: Final = "partitioned table"
TOAST: Final = "TOAST table"
VIEW: Final = "view"
COLUMN: Final = "column"
"""Indexes go by the names of their access methods."""

_INT_MAX: Final = 2**31 - 1
_CLEANUP_WORDS: Final = ("auto", "on", "off", "true", "false", "yes", "no", "1", "0")
_BUFFERING_WORDS: Final = ("on", "off", "auto")
_CHECK_WORDS: Final = ("local", "cascaded")
_FILLFACTOR: Final = "fillfactor"


class _Option(NamedTuple):
    """``kind`` is boolean, integer, floating point or enum, which takes ``words``."""

    kind: str
    least: float = 0
    most: float = 0
    words: tuple[str, ...] = ()
    """of an enum"""
    valid: str = ""
    """how an error names these"""
    multiple: int = 1
    """of an integer: what it must be a multiple of"""


_BOOLEAN: Final = _Option("boolean")
_CHECK_OPTION: Final = _Option("enum", words=_CHECK_WORDS, valid='"local" and "cascaded"')
_VACUUM: Final = {
    "autovacuum_enabled": _BOOLEAN,
    "autovacuum_vacuum_threshold": _Option("integer", 0, _INT_MAX),
    "autovacuum_vacuum_insert_threshold": _Option("integer", -1, _INT_MAX),
    "autovacuum_vacuum_scale_factor": _Option("floating point", 0, 100),
    "autovacuum_vacuum_insert_scale_factor": _Option("floating point", 0, 100),
    "autovacuum_vacuum_cost_delay": _Option("floating point", 0, 100),
    "autovacuum_vacuum_cost_limit": _Option("integer", 1, 10_000),
    "autovacuum_freeze_min_age": _Option("integer", 0, 1_000_000_000),
    "autovacuum_freeze_max_age": _Option("integer", 100_000, 2_000_000_000),
    "autovacuum_freeze_table_age": _Option("integer", 0, 2_000_000_000),
    "autovacuum_multixact_freeze_min_age": _Option("integer", 0, 1_000_000_000),
    "autovacuum_multixact_freeze_max_age": _Option("integer", 10_000, 2_000_000_000),
    "autovacuum_multixact_freeze_table_age": _Option("integer", 0, 2_000_000_000),
    "log_autovacuum_min_duration": _Option("integer", -1, _INT_MAX),
    "vacuum_index_cleanup": _Option("enum", words=_CLEANUP_WORDS, valid='"on", "off", and "auto"'),
    "vacuum_truncate": _BOOLEAN,
}
_FILLED: Final = {_FILLFACTOR: _Option("integer", 10, 100)}
_OPTIONS: Final[dict[str, dict[str, _Option]]] = {
    PARTITIONED: {},
    TABLE: {
        **_VACUUM,
        _FILLFACTOR: _Option("integer", 10, 100),
        "autovacuum_analyze_threshold": _Option("integer", 0, _INT_MAX),
        "autovacuum_analyze_scale_factor": _Option("floating point", 0, 100),
        "parallel_workers": _Option("integer", 0, 1024),
        "toast_tuple_target": _Option("integer", 128, 8160),
        "user_catalog_table": _BOOLEAN,
    },
    TOAST: _VACUUM,
    "hash": _FILLED,
    "btree": {**_FILLED, "deduplicate_items": _BOOLEAN},
    "gin": {"fastupdate": _BOOLEAN, "gin_pending_list_limit": _Option("integer", 64, _INT_MAX)},
    "gist": {**_FILLED, "buffering": _Option("enum", words=_BUFFERING_WORDS, valid='"on", "off", and "auto"')},
    "spgist": _FILLED,
    "brin": {"pages_per_range": _Option("integer", 1, 131_072), "autosummarize": _BOOLEAN},
    COLUMN: dict.fromkeys(("n_distinct", "n_distinct_inherited"), _Option("floating point", -1, sys.float_info.max)),
    VIEW: {"security_barrier": _BOOLEAN, "security_invoker": _BOOLEAN, "check_option": _CHECK_OPTION},
}
_OF_CLASSES: Final[dict[int | str, dict[str, _Option]]] = {
    3434: {"siglen": _Option("integer", 1, 2024)},
    4595: {
        "n_distinct_per_range": _Option("floating point", -1, _INT_MAX),
        "false_positive_rate": _Option("floating point", 0.0001, 0.25),
    },
    4620: {"values_per_range": _Option("integer", 8, 256)},
    "gtrgm_options": {"siglen": _Option("integer", 1, 2024)},
    "g_int_options": {"numranges": _Option("integer", 1, 252)},
    "g_intbig_options": {"siglen": _Option("integer", 1, 2024)},
    "ghstore_options": {"siglen": _Option("integer", 1, 2024)},
    "ltree_gist_options": {"siglen": _Option("integer", 4, 2024, multiple=4)},
    "_ltree_gist_options": {"siglen": _Option("integer", 1, 2024)},
}
"""by the support function of an operator class that reads them: gtsvector_options, brin_bloom_options,
brin_minmax_multi_options, a symbol of an extension"""


def options_of(kind: str, given: Sequence[ast.DefElem] | None) -> list[str]:
    """As reloptions, in the texts given. Of a table, ``toast.…`` are left for ``TOAST`` and otherwise checked for their
    namespace alone. Errors: 22023, 0A000."""
    found: dict[str, str] = {}
    for option in given or ():
        namespace, name, text = option.defnamespace, option.defname, option_text(option)
        if namespace is not None and (namespace != "toast" or kind not in (TABLE, PARTITIONED, TOAST)):
            raise InvalidParameterValue(f'unrecognized parameter namespace "{namespace}"')
        if (namespace == "toast") != (kind == TOAST):
            continue
        if kind == TABLE and name == "oids":
            if boolean_word(text):
                raise NotSupported("tables declared WITH OIDS are not supported")
            continue
        if name in found:
            raise InvalidParameterValue(f'parameter "{name}" specified more than once')
        declared = _OPTIONS[kind].get(name)
        if declared is None:
            raise InvalidParameterValue(f'unrecognized parameter "{name}"')
        _check(name, declared, text)
        found[name] = text
    return [f"{name}={text}" for name, text in found.items()]


def index_options(method: AccessMethod, given: Sequence[ast.DefElem] | None) -> list[str]:
    """``options_of`` an index of that method."""
    return options_of(method.name, given)


def class_options(support: Sequence[int | str], name: str, given: Sequence[ast.DefElem] | None) -> tuple[str, ...]:
    """Parameters of an operator class with these support functions: OIDs, or symbols of an extension's. Errors:
    22023."""
    declared = next((_OF_CLASSES[each] for each in support if each in _OF_CLASSES), None)
    if given and declared is None:
        raise InvalidParameterValue(f"operator class {name} has no options")
    found: dict[str, str] = {}
    for option in given or ():
        if option.defname in found:
            raise InvalidParameterValue(f'parameter "{option.defname}" specified more than once')
        known = None if declared is None else declared.get(option.defname)
        if known is None:
            raise InvalidParameterValue(f'unrecognized parameter "{option.defname}"')
        found[option.defname] = option_text(option)
        _check(option.defname, known, found[option.defname])
        if known.multiple > 1 and int(found[option.defname]) % known.multiple:
            raise InvalidParameterValue(f"{option.defname} value must be a multiple of {known.multiple}")
    return tuple(f"{key}={text}" for key, text in found.items())


def option_number(held: Sequence[str], name: str, default: float) -> float:
    """The number that is set for a name."""
    for item in held:
        key, _, text = item.partition("=")
        if key == name:
            found = _real(text)
            return default if found is None else found
    return default


def changed(held: Sequence[str], given: Sequence[str]) -> list[str]:
    """What SET (…) leaves: those changed come last."""
    names = {item.partition("=")[0] for item in given}
    return [item for item in held if item.partition("=")[0] not in names] + list(given)


def reset(held: Sequence[str], given: Sequence[ast.DefElem], namespace: str | None) -> list[str]:
    """What RESET (…) leaves; names that no option has do nothing. 42601 for values."""
    if any(option.arg is not None for option in given):
        raise SqlSyntaxError("RESET must not include values for parameters")
    names = {option.defname for option in given if option.defnamespace == namespace}
    return [item for item in held if item.partition("=")[0] not in names]


def fillfactor(held: Sequence[str]) -> int:
    """The percentage of a page that inserts fill; 100 when nothing is set."""
    for item in held:
        name, _, text = item.partition("=")
        if name == _FILLFACTOR:
            return integer_value(text) or 100
    return 100


def integer_value(text: str) -> int | None:
    """As PostgreSQL reads the integers of settings and options: decimal, hexadecimal, or rounded; None otherwise."""
    text = text.strip()
    try:
        return int(text, 16) if text.lower().lstrip("+-").startswith("0x") else round(float(text))
    except (ValueError, OverflowError):
        return None


def _check(name: str, option: _Option, text: str) -> None:
    if option.kind == "boolean":
        if boolean_word(text) is None:
            raise InvalidParameterValue(f'invalid value for boolean option "{name}": {text}')
        return
    if option.kind == "enum":
        if text.lower() not in option.words:
            raise InvalidParameterValue(
                f'invalid value for enum option "{name}": {text}',
                detail=f"Valid values are {option.valid}.",
            )
        return
    whole = option.kind == "integer"
    value = integer_value(text) if whole else _real(text)
    if value is None:
        raise InvalidParameterValue(f'invalid value for {option.kind} option "{name}": {text}')
    if not option.least <= value <= option.most:
        least, most = (f"{int(bound)}" if whole else f"{bound:f}" for bound in (option.least, option.most))
        raise InvalidParameterValue(
            f'value {text} out of bounds for option "{name}"',
            detail=f'Valid values are between "{least}" and "{most}".',
        )


def _real(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def option_text(option: ast.DefElem) -> str:
    """An option's value as text; true without one."""
    value = option.arg
    if value is None:
        return "true"
    if isinstance(value, ast.Integer):
        return str(value.ival)
    if isinstance(value, ast.Float):
        return str(value.fval)
    if isinstance(value, ast.Boolean):
        return "true" if value.boolval else "false"
    if isinstance(value, ast.TypeName):
        return str(value.names[-1].sval)
    return str(value.sval)

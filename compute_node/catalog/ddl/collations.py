"""CREATE COLLATION and ALTER COLLATION … REFRESH VERSION. Source: PostgreSQL manual, ch. 24.2 and the reference pages.

Of the C library there are the locales C, POSIX and C.UTF-8; the others come from ICU, where its binding is installed.
"""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    InternalError,
    InvalidCatalogName,
    InvalidObjectDefinition,
    InvalidParameterValue,
    NotSupported,
    SqlSyntaxError,
)
from compute_node.catalog.ddl.context import CLASS_COLLATION, CLASS_NAMESPACE, DdlContext
from compute_node.catalog.ddl.object_kinds import KINDS
from compute_node.catalog.ddl.schema_objects import find, owned
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.rows import Record
from compute_node.types.collation.icu_ import actual_version, icu_locale
from compute_node.types.string_functions import quote_identifier

_KIND = KINDS[enums.ObjectType.OBJECT_COLLATION]
_ATTRIBUTES = ("from", "locale", "lc_collate", "lc_ctype", "provider", "deterministic", "version")
_LIBRARY_LOCALES = frozenset({"C", "POSIX", "C.UTF-8", "C.utf8"})
_UTF8 = 6
_BOOLEANS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def create_collation(ctx: DdlContext, node: ast.DefineStmt) -> str:
    """CREATE COLLATION."""
    namespace, name = ctx.place(node.defnames)
    given = _attributes(node.definition or ())
    values = _copied(ctx, given["from"]) if "from" in given else _described(given)
    provider = values["collprovider"]
    locale = values["colliculocale"] if provider == "i" else values["collcollate"]
    taken = ctx.rows.find("pg_collation", collname=name, collnamespace=namespace)
    if any(row.collencoding in (-1, values["collencoding"]) or values["collencoding"] == -1 for row in taken):
        same = values["collencoding"] != -1 and any(row.collencoding == values["collencoding"] for row in taken)
        shown = f'collation "{name}"' + (' for encoding "UTF8"' if same else "")
        if not node.if_not_exists:
            raise DuplicateObject(f"{shown} already exists")
        ctx.notice(f"{shown} already exists, skipping", sqlstate="42710")
        return "CREATE COLLATION"
    _check_locale(provider, str(locale), str(values["collctype"]))
    actual = actual_version(str(locale)) if provider == "i" else None
    version = values.setdefault("collversion", actual)
    oid = ctx.next_oid()
    ctx.rows.insert("pg_collation", oid=oid, collname=name, collnamespace=namespace, collowner=ctx.user_oid, **values)
    record_owner(ctx, CLASS_COLLATION, oid, ctx.user_oid)
    ctx.depend((CLASS_COLLATION, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    ctx.changes.touch()
    if version is not None and actual is not None and version != actual:
        _warn(ctx, namespace, name, str(version), actual)
    return "CREATE COLLATION"


def _warn(ctx: DdlContext, namespace: int, name: str, version: str, actual: str) -> None:
    schema = quote_identifier(ctx.view.layer.namespace_name(namespace) or "")
    ctx.notice(
        f'collation "{name}" has version mismatch',
        severity="WARNING",
        sqlstate="01000",
        detail=f"The collation in the database was created using version {version}, but the operating system provides"
        f" version {actual}.",
        hint=f"Rebuild all objects affected by this collation and run ALTER COLLATION {schema}.{quote_identifier(name)}"
        " REFRESH VERSION, or build PostgreSQL with the right library version.",
    )


def _attributes(definition: Sequence[ast.DefElem]) -> dict[str, ast.DefElem]:
    given: dict[str, ast.DefElem] = {}
    for item in definition:
        word, position = item.defname, (item.location or 0) + 1
        if word not in _ATTRIBUTES:
            raise SqlSyntaxError(f'collation attribute "{item.defname}" not recognized', position=position)
        if word in given:
            raise SqlSyntaxError("conflicting or redundant options", position=position)
        given[word] = item
    if "locale" in given and ("lc_collate" in given or "lc_ctype" in given):
        raise SqlSyntaxError(
            "conflicting or redundant options",
            detail="LOCALE cannot be specified together with LC_COLLATE or LC_CTYPE.",
        )
    if "from" in given and len(given) > 1:
        raise SqlSyntaxError(
            "conflicting or redundant options", detail="FROM cannot be specified together with any other options."
        )
    return given


def _text(given: dict[str, ast.DefElem], word: str) -> str | None:
    """An attribute as a text; 42601 without a value."""
    item = given.get(word)
    if item is None:
        return None
    value = item.arg
    if value is None:
        raise SqlSyntaxError(f"{word} requires a parameter")
    if isinstance(value, ast.TypeName):
        return ".".join(each.sval for each in value.names)
    if isinstance(value, tuple):
        return ".".join(each.sval for each in value)
    if isinstance(value, ast.Integer):
        return str(value.ival or 0)
    if isinstance(value, ast.Boolean):
        return "true" if value.boolval else "false"
    return str(getattr(value, "sval", None) or getattr(value, "fval", ""))


def _flag(given: dict[str, ast.DefElem], word: str) -> bool:
    if given[word].arg is None:
        return True
    found = _BOOLEANS.get((_text(given, word) or "").lower())
    if found is None:
        raise SqlSyntaxError(f"{word} requires a Boolean value")
    return found


def _copied(ctx: DdlContext, item: ast.DefElem) -> dict[str, Datum]:
    value = item.arg
    names = value.names if isinstance(value, ast.TypeName) else value
    row = find(ctx, _KIND, names if isinstance(names, tuple) else (names,))
    if row is None or row.collprovider == "d":
        raise InvalidObjectDefinition('collation "default" cannot be copied')
    copied = ("collprovider", "collisdeterministic", "collencoding", "collcollate", "collctype", "colliculocale")
    return {column: getattr(row, column) for column in copied}


def _described(given: dict[str, ast.DefElem]) -> dict[str, Datum]:
    word = _text(given, "provider")
    provider = {"icu": "i", "libc": "c", None: "c"}.get(None if word is None else word.lower())
    if provider is None:
        raise InvalidObjectDefinition(f"unrecognized collation provider: {word}")
    locale = _text(given, "locale")
    collate, ctype = _text(given, "lc_collate"), _text(given, "lc_ctype")
    is_deterministic = _flag(given, "deterministic") if "deterministic" in given else True
    if provider == "c" and locale is not None:
        collate, ctype = locale, locale
    for wanted, parameter, needed in (
        (collate, "lc_collate", provider == "c"),
        (ctype, "lc_ctype", provider == "c"),
        (locale, "locale", provider == "i"),
    ):
        if needed and wanted is None:
            raise InvalidObjectDefinition(f'parameter "{parameter}" must be specified')
    if not is_deterministic and provider != "i":
        raise NotSupported("nondeterministic collations not supported with this provider")
    values: dict[str, Datum] = {
        "collprovider": provider,
        "collisdeterministic": is_deterministic,
        "collencoding": -1 if provider == "i" else _UTF8,
        "collcollate": collate if provider == "c" else None,
        "collctype": ctype if provider == "c" else None,
        "colliculocale": locale if provider == "i" else None,
    }
    version = _text(given, "version")
    if version is not None:
        values["collversion"] = version
    return values


def _check_locale(provider: Datum, locale: str, ctype: str) -> None:
    """Opens it, as whoever uses it will; 22023, and 0A000 for ICU's without its binding."""
    if provider == "i":
        icu_locale(locale)
        return
    for name in (locale, ctype):
        if name not in _LIBRARY_LOCALES:
            raise InvalidParameterValue(
                f'could not create locale "{name}": No such file or directory',
                detail=f'The operating system could not find any locale data for the locale name "{name}".',
            )


def refresh_database(ctx: DdlContext, node: ast.AlterDatabaseRefreshCollStmt) -> str:
    """ALTER DATABASE … REFRESH COLLATION VERSION: C.UTF-8 has no versions."""
    record = ctx.rows.one("pg_database", datname=node.dbname)
    if record is None:
        raise InvalidCatalogName(f'database "{node.dbname}" does not exist')
    if not ctx.owns(record.datdba):
        raise InsufficientPrivilege(f"must be owner of database {node.dbname}")
    ctx.notice("version has not changed")
    return "ALTER DATABASE"


def refresh_version(ctx: DdlContext, node: ast.AlterCollationStmt) -> str:
    """ALTER COLLATION … REFRESH VERSION."""
    row: Record = owned(ctx, _KIND, node.collname)
    if row.collprovider == "d":
        raise InternalError("unexpected null in pg_collation")
    actual = actual_version(row.colliculocale) if row.collprovider == "i" else None
    if row.collversion is not None and actual is None:
        raise InternalError("invalid collation version change")
    if row.collversion is not None and row.collversion != actual:
        ctx.notice(f"changing version from {row.collversion} to {actual}")
        ctx.rows.update("pg_collation", row, collversion=actual)
        ctx.changes.touch()
    else:
        ctx.notice("version has not changed")
    return "ALTER COLLATION"

"""CREATE, ALTER and DROP DATABASE. Source: PostgreSQL manual, ch. 23 and the statements' reference pages.

A new database is a copy of its template's pages (``catalog/databases.py``): the catalogs' first, then the other
relations', which get relation files of their own. All in one transaction: a crash leaves nothing but extents of an
aborted creator, which the next start gives back.
"""

from __future__ import annotations

import re

from pglast import ast

from aurora.datum import Datum
from aurora.errors import (
    DuplicateDatabase,
    InsufficientPrivilege,
    InvalidCatalogName,
    InvalidParameterValue,
    NotSupported,
    ObjectInUse,
    SqlSyntaxError,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.access.clone import pages_of, write_pages
from compute_node.catalog.ddl import shared_depend
from compute_node.catalog.ddl.context import DdlContext, cut_name
from compute_node.catalog.ddl.new_owner import check_new_owner
from compute_node.catalog.rows import CatalogRows, Record
from compute_node.hub import HUB
from compute_node.relations.schema import CATALOGS, FIRST_NORMAL_OID, INITIAL_DATABASE, SystemCatalogs
from compute_node.session.transactions import forbid_in_block
from compute_node.txn.locks import ACCESS_EXCLUSIVE, EXCLUSIVE, SHARE, SHARE_UPDATE_EXCLUSIVE

UTF8 = 6
LOCALE = "C.UTF-8"
_LOCALES = {"c": "C", "posix": "POSIX", "c.utf-8": "C.UTF-8", "c.utf8": "C.UTF-8"}
_ENCODINGS = {"utf8": UTF8, "unicode": UTF8, "sqlascii": 0}
_OTHER_ENCODINGS = re.compile(
    r"euc(jp|cn|kr|tw|jis2004)|muleinternal|latin([1-9]|10)|win(125[0-8]|866|874)|koi8[ru]|iso8859[5-8]|sjis|big5|gbk|uhc"
    r"|gb18030|johab|shiftjis2004"
)
_OTHER = -1
"""an encoding of PostgreSQL's that is not here"""
_LEAVE_S = 5.0
_LOOK_S = 0.05
"""How long a database's sessions are waited for, and how often is looked."""
_CLASS_DATABASE = CATALOGS["pg_database"].desc.oid


def _lock(ctx: DdlContext) -> None:
    """One database is made, altered or dropped at a time."""
    ctx.storage.locks.lock_relation(ctx.txn, CATALOGS["pg_database"].desc.lock_id, EXCLUSIVE, "pg_database")


def _options(node: ast.Node, known: tuple[str, ...]) -> dict[str, ast.DefElem]:
    found: dict[str, ast.DefElem] = {}
    for item in node.options or ():
        name = item.defname
        if name not in known:
            raise SqlSyntaxError(f'option "{name}" not recognized', position=(item.location or 0) + 1)
        if name in found:
            raise SqlSyntaxError("conflicting or redundant options", position=(item.location or 0) + 1)
        found[name] = item
    return found


def _text(item: ast.DefElem) -> str | None:
    """An option's value as text; None for DEFAULT."""
    value = item.arg
    if value is None:
        return None
    if isinstance(value, ast.TypeName):
        return str(value.names[-1].sval)
    if isinstance(value, ast.Integer):
        return str(value.ival or 0)
    return str(value.boolval) if isinstance(value, ast.Boolean) else str(value.sval)


def _flag(item: ast.DefElem) -> bool:
    text = (_text(item) or "").lower()
    if text in ("true", "on", "yes", "1"):
        return True
    if text in ("false", "off", "no", "0"):
        return False
    raise SqlSyntaxError(f"{item.defname} requires a Boolean value")


def _limit(item: ast.DefElem) -> int:
    text = _text(item)
    if text is None:
        return -1
    if not text.lstrip("-").isdigit():
        raise SqlSyntaxError(f"{item.defname} requires an integer value")
    if int(text) < -1:
        raise InvalidParameterValue(f"invalid connection limit: {text}")
    return int(text)


def _find(ctx: DdlContext, name: str) -> Record | None:
    return ctx.rows.one("pg_database", datname=name)


def _others(ctx: DdlContext, name: str) -> str:
    """The detail that counts a database's other sessions and prepared transactions; empty when there are none."""
    count = ctx.engine.databases.connected(name, ctx.session)
    prepared = _prepared(ctx, name)
    if count and prepared:
        return f"There are {count} other session(s) and {prepared} prepared transaction(s) using the database."
    return _using(count, "other session") if count else _using(prepared, "prepared transaction")


def _prepared(ctx: DdlContext, name: str) -> int:
    """How many transactions are prepared in a database."""
    found = _find(ctx, name)
    return 0 if found is None else sum(each.database == found.oid for each in ctx.storage.txns.prepared)


def _using(count: int, what: str) -> str:
    if not count:
        return ""
    return f"There {'is' if count == 1 else 'are'} {count} {what}{'' if count == 1 else 's'} using the database."


_CREATE = (
    "tablespace", "owner", "template", "encoding", "locale", "lc_collate", "lc_ctype", "icu_locale", "locale_provider",
    "is_template", "allow_connections", "connection_limit", "collation_version", "oid", "strategy",
)  # fmt: skip


def create_database(ctx: DdlContext, node: ast.CreatedbStmt) -> str:
    """CREATE DATABASE."""
    forbid_in_block(ctx.session, "CREATE DATABASE")
    options = _options(node, _CREATE)
    name = cut_name(node.dbname)
    values = _described(options)
    oid = _wanted_oid(options)
    owner = _owner(ctx, options)
    _lock(ctx)
    template_name = _text(options["template"]) if "template" in options else None
    template = _find(ctx, template_name or "template1")
    if template is None:
        raise InvalidCatalogName(f'template database "{template_name or "template1"}" does not exist')
    if not template.datistemplate and not ctx.owns(template.datdba):
        raise InsufficientPrivilege(f'permission denied to copy database "{template.datname}"')
    _check_place(ctx, options)
    _check_locale(options, template, values)
    if _find(ctx, name) is not None:
        raise DuplicateDatabase(f'database "{name}" already exists')
    if not oid:
        oid = ctx.next_oid()
    elif (other := ctx.rows.one("pg_database", oid=oid)) is not None:
        raise InvalidParameterValue(f'database OID {oid} is already in use by database "{other.datname}"')
    databases = ctx.engine.databases
    ctx.storage.locks.lock_relation(ctx.txn, template.oid, SHARE, template.datname)
    _wait_until_left(ctx, template.datname, f'source database "{template.datname}"')
    ctx.rows.insert("pg_database", oid=oid, datname=name, datdba=owner, **values)
    shared_depend.record_owner(ctx, _CLASS_DATABASE, oid, owner)
    source = databases.catalogs(template.oid)
    if source is not None:
        databases.lock_tables(ctx.txn, source, SHARE_UPDATE_EXCLUSIVE)
    made = databases.write_catalogs(ctx.txn, oid, source)
    if source is not None:
        _copy_relations(ctx, made)
        _copy_dependencies(ctx, template.oid, oid)
    ctx.changes.touch()
    return "CREATE DATABASE"


def _owner(ctx: DdlContext, options: dict[str, ast.DefElem]) -> int:
    name = _text(options["owner"]) if "owner" in options else None
    owner = ctx.user_oid
    if name is not None:
        role = ctx.view.role(name)
        if role is None:
            raise UndefinedObject(f'role "{name}" does not exist')
        owner = role.oid
    user = ctx.rows.one("pg_authid", oid=ctx.user_oid)
    if user is None or not (user.rolcreatedb or user.rolsuper):
        raise InsufficientPrivilege("permission denied to create database")
    check_new_owner(ctx, owner)
    return owner


def _described(options: dict[str, ast.DefElem]) -> dict[str, Datum]:
    """Columns of the new pg_database row that the options say; the locale comes from the template later."""
    provider = (_text(options["locale_provider"]) if "locale_provider" in options else None) or "libc"
    if provider.lower() == "icu":
        raise NotSupported("the locale provider icu is not supported")
    if provider.lower() != "libc":
        raise InvalidParameterValue(f"unrecognized locale provider: {provider}")
    if "icu_locale" in options:
        raise InvalidParameterValue("ICU locale cannot be specified unless locale provider is ICU")
    if (item := options.get("encoding")) is not None and (text := _text(item)) is not None:
        _encoding(text, item)
    return {
        "datlocprovider": "c",
        "datistemplate": _flag(options["is_template"]) if "is_template" in options else False,
        "datallowconn": _flag(options["allow_connections"]) if "allow_connections" in options else True,
        "datconnlimit": _limit(options["connection_limit"]) if "connection_limit" in options else -1,
        "datfrozenxid": 3,
        "datminmxid": 1,
        "dattablespace": 1663,
    }


def _check_place(ctx: DdlContext, options: dict[str, ast.DefElem]) -> None:
    space = _text(options["tablespace"]) if "tablespace" in options else None
    if space is not None and space != "pg_default":
        if ctx.rows.one("pg_tablespace", spcname=space) is None:
            raise UndefinedObject(f'tablespace "{space}" does not exist')
        raise NotSupported("tablespaces are not supported")
    strategy = _text(options["strategy"]) if "strategy" in options else None
    if strategy is not None and strategy.lower() not in ("wal_log", "file_copy"):
        raise InvalidParameterValue(
            f'invalid create database strategy "{strategy}"',
            hint='Valid strategies are "wal_log" and "file_copy".',
        )


def _check_locale(options: dict[str, ast.DefElem], template: Record, values: dict[str, Datum]) -> None:
    """Encoding and locale, given or the template's: UTF-8 with C.UTF-8, C or POSIX, which sort alike here."""
    encoding = template.encoding
    if (item := options.get("encoding")) is not None and (text := _text(item)) is not None:
        encoding = _encoding(text, item)
        if encoding == _OTHER:
            raise InvalidParameterValue(
                f'encoding "{text.upper()}" does not match locale "{LOCALE}"',
                detail='The chosen LC_CTYPE setting requires encoding "UTF8".',
            )
    locales = {"collate": template.datcollate, "ctype": template.datctype}
    for option, columns in (("locale", ("collate", "ctype")), ("lc_collate", ("collate",)), ("lc_ctype", ("ctype",))):
        text = _text(options[option]) if option in options else None
        if text is not None:
            known = _LOCALES.get(text.lower())
            if known is None:
                raise WrongObjectType(f'invalid locale name: "{text}"')
            locales |= dict.fromkeys(columns, known if known != "C.UTF-8" or text != "C.utf8" else text)
    if encoding != UTF8:
        raise NotSupported("databases of another encoding than UTF8 are not supported")
    if template.datname != "template0":
        for what, word in (("collate", "collation"), ("ctype", "LC_CTYPE")):
            before = getattr(template, f"dat{what}")
            if locales[what] != before:
                raise InvalidParameterValue(
                    f"new {word} ({locales[what]}) is incompatible with the {word} of the template database ({before})",
                    hint=f"Use the same {word} as in the template database, or use template0 as template.",
                )
    values |= {"encoding": encoding, "datcollate": locales["collate"], "datctype": locales["ctype"]}


def _encoding(text: str, item: ast.DefElem) -> int:
    plain = "".join(character for character in text.lower() if character.isalnum())
    if text.lstrip("-").isdigit():
        if int(text) not in (0, UTF8):
            raise UndefinedObject(f"{text} is not a valid encoding code", position=(item.location or 0) + 1)
        return int(text)
    if plain in _ENCODINGS:
        return _ENCODINGS[plain]
    if _OTHER_ENCODINGS.fullmatch(plain):
        return _OTHER
    raise UndefinedObject(f"{text} is not a valid encoding name", position=(item.location or 0) + 1)


def _wanted_oid(options: dict[str, ast.DefElem]) -> int:
    """The OID option; 0 without one."""
    text = _text(options["oid"]) if "oid" in options else None
    oid = 0 if text is None else int(text)
    if text is not None and oid < FIRST_NORMAL_OID:
        raise InvalidParameterValue(f"OIDs less than {FIRST_NORMAL_OID} are reserved for system objects")
    return oid


def _copy_relations(ctx: DdlContext, made: SystemCatalogs) -> None:
    """The relations that are no system catalogs: files of their own, and rows of the new pg_class that name them."""
    storage = ctx.storage
    rows = CatalogRows(storage, ctx.txn, made)
    for record in rows.all("pg_class"):
        if record.oid < FIRST_NORMAL_OID or not record.relfilenode:
            continue
        relfile = storage.new_relfile()
        write_pages(storage, ctx.txn, relfile, pages_of(storage, storage.file(record.relfilenode)))
        rows.update("pg_class", record, relfilenode=relfile)
    # The new database's catalog is read anew when it is opened.


def _copy_dependencies(ctx: DdlContext, template: int, oid: int) -> None:
    for row in ctx.rows.find("pg_shdepend", dbid=template):
        ctx.rows.insert(
            "pg_shdepend", dbid=oid, classid=row.classid, objid=row.objid, objsubid=row.objsubid,
            refclassid=row.refclassid, refobjid=row.refobjid, deptype=row.deptype,
        )  # fmt: skip


def alter_database(ctx: DdlContext, node: ast.AlterDatabaseStmt) -> str:
    """ALTER DATABASE … WITH options."""
    options = _options(node, ("is_template", "allow_connections", "connection_limit", "tablespace"))
    if "tablespace" in options:
        forbid_in_block(ctx.session, "ALTER DATABASE SET TABLESPACE")
        raise NotSupported("tablespaces are not supported")
    values: dict[str, Datum] = {}
    if "is_template" in options:
        values["datistemplate"] = _flag(options["is_template"])
    if "allow_connections" in options:
        values["datallowconn"] = _flag(options["allow_connections"])
    if "connection_limit" in options:
        values["datconnlimit"] = _limit(options["connection_limit"])
    _lock(ctx)
    record = _find(ctx, node.dbname)
    if record is None:
        raise InvalidCatalogName(f'database "{node.dbname}" does not exist')
    if not ctx.owns(record.datdba):
        raise InsufficientPrivilege(f"must be owner of database {node.dbname}")
    if values.get("datallowconn") is False and node.dbname == ctx.session.database:
        raise InvalidParameterValue("cannot disallow connections for current database")
    if values:
        ctx.rows.update("pg_database", record, **values)
        ctx.changes.touch()
    return "ALTER DATABASE"


def rename_database(ctx: DdlContext, old: str, new: str) -> str:
    """ALTER DATABASE … RENAME TO."""
    _lock(ctx)
    record = _find(ctx, old)
    if record is None:
        raise InvalidCatalogName(f'database "{old}" does not exist')
    if not ctx.owns(record.datdba):
        raise InsufficientPrivilege(f"must be owner of database {old}")
    user = ctx.rows.one("pg_authid", oid=ctx.user_oid)
    if user is None or not (user.rolcreatedb or user.rolsuper):
        raise InsufficientPrivilege("permission denied to rename database")
    if _find(ctx, new) is not None:
        raise DuplicateDatabase(f'database "{new}" already exists')
    if old == ctx.session.database:
        raise NotSupported("current database cannot be renamed")
    ctx.storage.locks.lock_relation(ctx.txn, record.oid, ACCESS_EXCLUSIVE, old)
    _wait_until_left(ctx, old, f'database "{old}"')
    ctx.rows.update("pg_database", record, datname=new)
    ctx.changes.touch()
    return "ALTER DATABASE"


def drop_database(ctx: DdlContext, node: ast.DropdbStmt) -> str:
    """DROP DATABASE [IF EXISTS] … [WITH (FORCE)]."""
    forbid_in_block(ctx.session, "DROP DATABASE")
    force = any(item.defname == "force" for item in node.options or ())
    name = node.dbname
    _lock(ctx)
    record = _find(ctx, name)
    if record is None:
        if not node.missing_ok:
            raise InvalidCatalogName(f'database "{name}" does not exist')
        ctx.notice(f'database "{name}" does not exist, skipping')
        return "DROP DATABASE"
    if not ctx.owns(record.datdba):
        raise InsufficientPrivilege(f"must be owner of database {name}")
    if record.datistemplate:
        raise WrongObjectType("cannot drop a template database")
    if name == ctx.session.database:
        raise ObjectInUse("cannot drop the currently open database")
    if record.oid == INITIAL_DATABASE:
        raise NotSupported(f'database "{name}" is the one that the volume began with, it cannot be dropped')
    databases = ctx.engine.databases
    ctx.storage.locks.lock_relation(ctx.txn, record.oid, ACCESS_EXCLUSIVE, name)
    if force:
        if using := _using(_prepared(ctx, name), "prepared transaction"):
            raise ObjectInUse(f'database "{name}" is being used by prepared transactions', detail=using)
        for session in databases.sessions():
            if session.database == name and session is not ctx.session:
                ctx.session.catalog_function("signal_backend", session.pid, True)
    subscriptions = len(ctx.rows.find("pg_subscription", subdbid=record.oid))
    if subscriptions:
        raise ObjectInUse(
            f'database "{name}" is being used by logical replication subscription',
            detail=f"There {'is' if subscriptions == 1 else 'are'} {subscriptions} subscription"
            f"{'' if subscriptions == 1 else 's'}.",
        )
    _wait_until_left(ctx, name, f'database "{name}"')
    catalogs = databases.catalogs(record.oid)
    if catalogs is not None:
        databases.lock_tables(ctx.txn, catalogs, ACCESS_EXCLUSIVE)
    databases.drop_files(ctx.txn, record.oid)
    ctx.rows.delete("pg_database", record)
    ctx.rows.delete_where("pg_db_role_setting", setdatabase=record.oid)
    ctx.rows.delete_where("pg_shdepend", dbid=record.oid)
    shared_depend.forget(ctx, _CLASS_DATABASE, record.oid)
    ctx.rows.delete_where("pg_shdescription", objoid=record.oid, classoid=_CLASS_DATABASE)
    ctx.changes.touch()
    ctx.txn.on_commit(lambda _: databases.close(record.oid))
    return "DROP DATABASE"


def _wait_until_left(ctx: DdlContext, name: str, subject: str) -> None:
    """Until no session is connected, for a client that has just gone counts for a moment; 55006 when one stays."""
    waited = 0.0
    while others := _others(ctx, name):
        if waited >= _LEAVE_S:
            raise ObjectInUse(f"{subject} is being accessed by other users", detail=others)
        HUB.sleep(_LOOK_S)
        ctx.session.check_interrupts()
        waited += _LOOK_S

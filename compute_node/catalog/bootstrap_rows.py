"""The rows of a new volume's catalogs: declarations and recorded facts → ``{catalog: rows}``, in a fixed order.

Types, functions, operators, casts and operator classes are PostgreSQL's (``facts``), with what ``REGISTRY`` has
besides; the catalogs' own entries come from ``schema``; views from ``views``. Pure: no storage is touched here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import compute_node.catalog.system_functions
import compute_node.types  # noqa: F401  (fills REGISTRY)
from aurora.datum import Datum, Row
from compute_node.catalog import information_functions
from compute_node.catalog.builders import (
    array_type_row,
    attribute_row,
    class_row,
    composite_type_row,
    index_row,
)
from compute_node.catalog.facts import fact_rows
from compute_node.catalog.information_functions import InformationFunction
from compute_node.catalog.roles import PG_MONITOR, PG_READ_ALL_SETTINGS, PG_READ_ALL_STATS, PG_STAT_SCAN_TABLES
from compute_node.catalog.rows import make_row
from compute_node.catalog.views import RULES, view_sql
from compute_node.relations.descriptors import NO_QUALIFICATION, ColumnDesc, RelationDesc
from compute_node.relations.schema import (
    CATALOGS,
    DOMAIN_BASES,
    NAMESPACE_CATALOG,
    NAMESPACES,
    ROLE_POSTGRES,
    SYSTEM_VIEWS,
    USUAL_ACL,
    SystemView,
    load_json,
)
from compute_node.types.aurora_functions import DESCRIPTIONS
from compute_node.types.registry import REGISTRY, Function
from compute_node.types.textsearch.configurations import builtin

_ONLY_FACTS = (
    "pg_type",
    "pg_operator",
    "pg_cast",
    "pg_opclass",
    "pg_opfamily",
    "pg_amop",
    "pg_amproc",
    "pg_aggregate",
    "pg_range",
    "pg_constraint",
    "pg_description",
)
"""Catalogs whose built-in rows are PostgreSQL's and no others"""
_AS_RECORDED = ("pg_opclass",)
"""Catalogs whose rows are in PostgreSQL's order, not in that of their OIDs"""
_SQL = 14
"""The language's OID"""
_C_UTF8 = "C.UTF-8"
_UTF8 = 6
_TEXT = 25
"""what stands in for the type of a system view's column that is not declared (yet)"""


def bootstrap_rows() -> dict[str, list[Row]]:
    """All rows, by catalog."""
    seeds = load_json("seeds.json")
    out: dict[str, list[Row]] = {name: [] for name in CATALOGS}
    _relations(out)
    _views(out)
    _functions(out)
    for name in _ONLY_FACTS:
        _facts(out, name)
    _cluster(out, seeds)
    _text_search(out)
    for name, about in load_json("facts_sql_standard.json").items():
        out[name] += [tuple(row) for row in about]
    _privileges(out, load_json("acls.json"))
    for name, rows in out.items():
        primary = next((index for index in CATALOGS[name].desc.indexes if index.primary), None)
        if primary is not None and name not in _AS_RECORDED:
            keys = [attno - 1 for attno in primary.columns]
            rows.sort(key=lambda row: [row[key] for key in keys])
    return out


def _add(out: dict[str, list[Row]], catalog: str, **values: Datum) -> None:
    out[catalog].append(make_row(catalog, values))


def _row_types(out: dict[str, list[Row]], desc_name: str, namespace: int, oid: int, row_type: int, array: int) -> None:
    if row_type:
        out["pg_type"].append(composite_type_row(row_type, desc_name, namespace, oid, array))
    if array:
        out["pg_type"].append(array_type_row(array, f"_{desc_name}", namespace, row_type))


def _relations(out: dict[str, list[Row]]) -> None:
    types = REGISTRY.types
    rows = {table.array_type for table in CATALOGS.values()}
    for table in CATALOGS.values():
        desc = table.desc
        out["pg_class"].append(
            class_row(
                desc.oid,
                desc.name,
                desc.namespace,
                "r",
                len(desc.columns),
                row_type=desc.row_type,
                relfile=desc.relfile,
                has_index=bool(desc.indexes),
                shared=desc.is_shared,
                toast=0 if desc.toast is None else desc.toast.oid,
            )
        )
        if desc.toast is not None:
            _toast(out, desc.toast)
        for column, base in zip(table.declared, desc.columns, strict=True):
            alignment = "d" if column.type in rows else None
            out["pg_attribute"].append(attribute_row(desc.oid, column, types.get(base.type), alignment=alignment))
        if desc.row_type not in types:
            _row_types(
                out,
                desc.name,
                desc.namespace,
                desc.oid,
                desc.row_type,
                0 if table.array_type in types else table.array_type,
            )
        for index in desc.indexes:
            out["pg_class"].append(
                class_row(
                    index.oid,
                    index.name,
                    desc.namespace,
                    "i",
                    len(index.columns),
                    relfile=index.relfile,
                    shared=desc.is_shared,
                )
            )
            keys = [desc.columns[attno - 1] for attno in index.columns]
            out["pg_index"].append(index_row(desc.oid, index, [key.collation for key in keys]))
            for number, key in enumerate(keys, 1):
                entry = ColumnDesc(number, key.name, key.type, -1, False, collation=key.collation)
                out["pg_attribute"].append(attribute_row(index.oid, entry, types.get(key.type)))


def _toast(out: dict[str, list[Row]], desc: RelationDesc) -> None:
    index, shared = desc.indexes[0], desc.is_shared
    out["pg_class"] += [
        class_row(desc.oid, desc.name, desc.namespace, "t", 3, relfile=desc.relfile, has_index=True, shared=shared),
        class_row(index.oid, index.name, desc.namespace, "i", 2, relfile=index.relfile, shared=shared),
    ]
    for oid, columns in ((desc.oid, desc.columns), (index.oid, desc.columns[:2])):
        out["pg_attribute"] += [attribute_row(oid, column, REGISTRY.types[column.type]) for column in columns]
    out["pg_index"].append(index_row(desc.oid, index, (0, 0)))


def _views(out: dict[str, list[Row]]) -> None:
    for name, sql in view_sql().items():
        view = SYSTEM_VIEWS[name]
        namespace = NAMESPACES[view.schema]
        _add_view(out, view, namespace, sql)


def _add_view(out: dict[str, list[Row]], view: SystemView, namespace: int, sql: str) -> None:
    out["pg_class"].append(class_row(view.oid, view.name, namespace, "v", len(view.columns), row_type=view.row_type))
    for column in view.columns:
        base, _ = DOMAIN_BASES.get(column.type, (column.type, -1))
        out["pg_attribute"].append(attribute_row(view.oid, column, REGISTRY.types[base]))
    _row_types(out, view.name, namespace, view.oid, view.row_type, view.array_type)
    _add(
        out,
        "pg_rewrite",
        oid=view.oid + 3,
        rulename="_RETURN",
        ev_class=view.oid,
        ev_type="1",
        ev_enabled="O",
        is_instead=True,
        ev_qual=NO_QUALIFICATION,
        ev_action=sql,
    )
    for number, rule in enumerate(RULES.get(f"{view.schema}.{view.name}", ()), view.oid + 4):
        _add(
            out,
            "pg_rewrite",
            oid=number,
            rulename=rule.name,
            ev_class=view.oid,
            ev_type=rule.event,
            ev_enabled="O",
            is_instead=rule.is_instead,
            ev_qual=rule.condition,
            ev_action=rule.action,
        )


def _facts(out: dict[str, list[Row]], catalog: str) -> set[int]:
    """The recorded rows of a catalog; returns their OIDs."""
    found = set()
    for values in fact_rows(catalog):
        row = make_row(catalog, values)
        out[catalog].append(row)
        found.add(row[0])
    return found


def _functions(out: dict[str, list[Row]]) -> None:
    """PostgreSQL's, with or without code, and our own."""
    known = _facts(out, "pg_proc")
    for item in REGISTRY.functions.values():
        # Those without a schema are only put into plans, by analysis.
        if item.namespace and item.oid not in known:
            out["pg_proc"].append(_function_row(item))
            text = DESCRIPTIONS.get(item.name)
            if text:
                _add(out, "pg_description", objoid=item.oid, classoid=_PROC, description=text)
    out["pg_proc"] += [_information_function(item) for item in information_functions.FUNCTIONS]


def _information_function(item: InformationFunction) -> Row:
    more: dict[str, Any] = {"proargnames": item.names} if item.names else {}
    if item.outputs:
        modes = ["i"] * len(item.arguments) + ["o"] * len(item.outputs)
        more |= {"proallargtypes": [*item.arguments, *item.outputs], "proargmodes": modes}
        more |= {"proretset": True, "prorows": 1000.0}
    return _proc_row(
        item.oid, item.name, item.arguments, item.result, True, item.volatility,
        pronamespace=NAMESPACES["information_schema"], prolang=_SQL, procost=100.0, proparallel=item.parallel,
        prosrc=item.body, **more,
    )  # fmt: skip


def _proc_row(
    oid: int, name: str, arguments: list[int], result: int, strict: bool, volatility: str, **more: Any
) -> Row:
    values = {
        "oid": oid,
        "proname": name,
        "pronamespace": NAMESPACE_CATALOG,
        "proowner": ROLE_POSTGRES,
        "prolang": 12,
        "procost": 1.0,
        "prokind": "f",
        "proisstrict": strict,
        "provolatile": volatility,
        "proparallel": "s",
        "pronargs": len(arguments),
        "prorettype": result,
        "proargtypes": arguments,
        "prosrc": name,
    }
    return make_row("pg_proc", values | more)


def _function_row(item: Function) -> Row:
    more: dict[str, Datum] = {"prokind": item.kind, "pronamespace": item.namespace, "prosrc": item.source or item.name}
    if item.returns_set:
        more |= {"proretset": True, "prorows": 1000.0}
    if item.variadic:
        more["provariadic"] = item.variadic
    if item.defaults:
        more["pronargdefaults"] = len(item.defaults)
        more["proargdefaults"] = "\n".join(_default_text(value) for value in item.defaults)
    if item.out_columns:
        count = len(item.arguments)
        names = list(item.argument_names) + [""] * (count - len(item.argument_names))
        more["proallargtypes"] = [*item.arguments, *(type_oid for _, type_oid in item.out_columns)]
        more["proargmodes"] = ["i"] * count + ["o"] * len(item.out_columns)
        more["proargnames"] = [*names, *(name for name, _ in item.out_columns)]
    elif item.argument_names:
        more["proargnames"] = list(item.argument_names)
    return _proc_row(item.oid, item.name, list(item.arguments), item.result, item.strict, item.volatility, **more)


def _default_text(value: Datum) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


_PG_CATALOG = 11
_PROC = int(CATALOGS["pg_proc"].desc.oid)


def _text_search(out: dict[str, list[Row]]) -> None:
    found = builtin()
    owned = {"namespace": _PG_CATALOG, "owner": ROLE_POSTGRES}
    for oid, name, init, lexize in found["templates"]:
        _add(out, "pg_ts_template", oid=oid, tmplname=name, tmplnamespace=_PG_CATALOG, tmplinit=init, tmpllexize=lexize)
        if name == "snowball":
            of_template = CATALOGS["pg_ts_template"].desc.oid
            _add(out, "pg_description", objoid=oid, classoid=of_template, description="snowball stemmer")
    for oid, name, start, token, end, headline, kinds in found["parsers"]:
        _add(
            out,
            "pg_ts_parser",
            oid=oid,
            prsname=name,
            prsnamespace=_PG_CATALOG,
            prsstart=start,
            prstoken=token,
            prsend=end,
            prsheadline=headline,
            prslextype=kinds,
        )
    for oid, name, template, options in found["dictionaries"]:
        values = {f"dict{key}": value for key, value in owned.items()}
        _add(out, "pg_ts_dict", oid=oid, dictname=name, dicttemplate=template, dictinitoption=options, **values)
        if name.endswith("_stem"):
            text = f"snowball stemmer for {name.removesuffix('_stem')} language"
            _add(out, "pg_description", objoid=oid, classoid=CATALOGS["pg_ts_dict"].desc.oid, description=text)
    for oid, name, parser in found["configurations"]:
        values = {f"cfg{key}": value for key, value in owned.items()}
        _add(out, "pg_ts_config", oid=oid, cfgname=name, cfgparser=parser, **values)
        if name != "simple":
            text = f"configuration for {name} language"
            _add(out, "pg_description", objoid=oid, classoid=CATALOGS["pg_ts_config"].desc.oid, description=text)
    for config, dictionary, number, token_kinds in found["maps"]:
        for kind in token_kinds:
            _add(out, "pg_ts_config_map", mapcfg=config, maptokentype=kind, mapseqno=number, mapdict=dictionary)


def _cluster(out: dict[str, list[Row]], seeds: dict[str, Datum]) -> None:
    for oid, name, handler, kind in seeds["pg_am"]:
        _add(out, "pg_am", oid=oid, amname=name, amhandler=handler, amtype=kind)
    for oid, name, is_pl, trusted, validator in seeds["pg_language"]:
        _add(
            out,
            "pg_language",
            oid=oid,
            lanname=name,
            lanowner=ROLE_POSTGRES,
            lanispl=is_pl,
            lanpltrusted=trusted,
            lanvalidator=validator,
        )
    for oid, name in seeds["pg_namespace"]:
        _add(out, "pg_namespace", oid=oid, nspname=name, nspowner=6171 if name == "public" else ROLE_POSTGRES)
    for oid, name in seeds["pg_tablespace"]:
        _add(out, "pg_tablespace", oid=oid, spcname=name, spcowner=ROLE_POSTGRES)
    for oid, name in seeds["pg_authid"]:
        top = oid == ROLE_POSTGRES
        flags = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls")
        _add(out, "pg_authid", oid=oid, rolname=name, rolinherit=True, rolconnlimit=-1, **dict.fromkeys(flags, top))
    for oid, name, provider, encoding, locale in seeds["pg_collation"]:
        _add(
            out,
            "pg_collation",
            oid=oid,
            collname=name,
            collnamespace=11,
            collowner=ROLE_POSTGRES,
            collprovider=provider,
            collisdeterministic=True,
            collencoding=encoding,
            collcollate=locale,
            collctype=locale,
        )
    _icu_collations(out, seeds["icu_collations"])
    for oid, name, source, target, function, is_default in seeds["pg_conversion"]:
        _add(
            out,
            "pg_conversion",
            oid=oid,
            conname=name,
            connamespace=11,
            conowner=ROLE_POSTGRES,
            conforencoding=source,
            contoencoding=target,
            conproc=function,
            condefault=is_default,
        )
    for oid, name, is_template, allows_connections in seeds["pg_database"]:
        _add(
            out,
            "pg_database",
            oid=oid,
            datname=name,
            datdba=ROLE_POSTGRES,
            encoding=_UTF8,
            datlocprovider="c",
            datistemplate=is_template,
            datallowconn=allows_connections,
            datconnlimit=-1,
            datfrozenxid=3,
            datminmxid=1,
            dattablespace=1663,
            datcollate=_C_UTF8,
            datctype=_C_UTF8,
        )
    for class_oid, oid, text in seeds["shared_descriptions"]:
        _add(out, "pg_shdescription", objoid=oid, classoid=class_oid, description=text)


def _icu_collations(out: dict[str, list[Row]], found: list[Any]) -> None:
    """A collation for each locale of ICU, with its comment."""
    class_oid = CATALOGS["pg_collation"].desc.oid
    for oid, locale, version, description in found:
        _add(
            out,
            "pg_collation",
            oid=oid,
            collname=f"{locale}-x-icu",
            collnamespace=11,
            collowner=ROLE_POSTGRES,
            collprovider="i",
            collisdeterministic=True,
            collencoding=-1,
            colliculocale=locale,
            collversion=version,
        )
        if description is not None:
            _add(out, "pg_description", objoid=oid, classoid=class_oid, description=description)


def _privileges(out: dict[str, list[Row]], acls: dict[str, dict[str, list[str]]]) -> None:
    """What initdb grants and revokes; and pg_monitor's memberships."""
    schemas = {oid: name for name, oid in NAMESPACES.items()}
    names = {row[0]: row[1] for row in out["pg_class"]}

    def put(catalog: str, column: str, items_of: Callable[[dict[str, Datum]], list[str] | None]) -> None:
        position, class_oid = CATALOGS[catalog].position, CATALOGS[catalog].desc.oid
        for number, row in enumerate(out[catalog]):
            items = items_of({name: row[at] for name, at in position.items()})
            if items is not None:
                out[catalog][number] = (*row[: position[column]], items, *row[position[column] + 1 :])
                if catalog != "pg_database":
                    # What pg_dump takes for given.
                    oid, attno = (row[0], 0) if catalog != "pg_attribute" else (row[0], row[position["attnum"]])
                    owner = CATALOGS["pg_class"].desc.oid if attno else class_oid
                    _add(
                        out, "pg_init_privs", objoid=oid, classoid=owner, objsubid=attno, privtype="i", initprivs=items
                    )

    def of_relation(row: dict[str, Datum]) -> list[str] | None:
        if row["relkind"] not in "rv" or row["relnamespace"] not in schemas:
            return None
        return acls["relation"].get(f"{schemas[row['relnamespace']]}.{row['relname']}", USUAL_ACL) or None

    put("pg_class", "relacl", of_relation)
    put("pg_attribute", "attacl", lambda row: acls["column"].get(f"{names[row['attrelid']]}.{row['attname']}"))
    put("pg_proc", "proacl", lambda row: acls["function"].get(str(row["oid"])))
    put("pg_namespace", "nspacl", lambda row: acls["schema"].get(row["nspname"]))
    put("pg_database", "datacl", lambda row: acls["database"].get(row["datname"]))
    for role in (PG_READ_ALL_SETTINGS, PG_READ_ALL_STATS, PG_STAT_SCAN_TABLES):
        _add(out, "pg_auth_members", roleid=role, member=PG_MONITOR, grantor=ROLE_POSTGRES, admin_option=False)

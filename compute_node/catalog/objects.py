"""Users' types, functions, operators, casts, operator classes and collations: rows of the catalog → declarations.

The built-in ones are declared in ``compute_node/types`` and are the catalog view's first source; these are its second.
``LOADERS`` are the questions that a ``CatalogLayer`` answers with them. OIDs from 16384 are users'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum
from aurora.errors import InternalError, NotSupported
from compute_node.catalog.aggregates import aggregate
from compute_node.catalog.builders import ARRAY_SUBSCRIPT
from compute_node.catalog.domains import domain_type
from compute_node.catalog.routines import (
    INPUT_MODES,
    OUTPUT_MODES,
    output_columns,
    parameters_of,
    split_texts,
    sql_function,
)
from compute_node.catalog.rows import Record
from compute_node.catalog.uncoded import SQL_LANGUAGE, builtin_function, builtin_type
from compute_node.extensions.library import BASE_TYPES, LIBRARY
from compute_node.relations.access_methods import BTREE, HASH
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.types.array import make_array_type
from compute_node.types.collation import (
    CODE_POINTS,
    INDETERMINATE,
    UNDETERMINED,
    Collation,
    collated,
    collated_type,
    collation_of,
    plain,
)
from compute_node.types.composite import make_composite_type
from compute_node.types.enum import Label, make_enum_type
from compute_node.types.oids import RECORD
from compute_node.types.pseudo import make_shell_type
from compute_node.types.ranges.types import CANONICAL, make_multirange_type, make_range_type
from compute_node.types.registry import (
    REGISTRY,
    Cast,
    FieldDesc,
    Function,
    Operator,
    OperatorClass,
    PgType,
    RangeForm,
)

if TYPE_CHECKING:
    from compute_node.catalog.layer import CatalogLayer

INTERNAL_LANGUAGE = 12


# types


def type_oid(layer: CatalogLayer, namespace: int, name: str) -> int | None:
    """A type's OID by its schema and name."""
    row = layer.reader.one("pg_type", typname=name, typnamespace=namespace)
    return None if row is None else int(row.oid)


def user_type(layer: CatalogLayer, oid: int) -> PgType | None:
    """A type made of its row: of a table's rows, an enum, a range, a domain, or an array of one of these; or a type
    under a collation."""
    if collation_of(oid):
        return _collated(layer, plain(oid), collation_of(oid))
    row = layer.reader.one("pg_type", oid=oid)
    if row is None:
        return None
    if row.typtype == "e":
        labels = [
            Label(each.oid, each.enumsortorder, each.enumlabel, each.oid in layer.reader.new_labels)
            for each in layer.reader.find("pg_enum", enumtypid=oid)
        ]
        return make_enum_type(oid, row.typname, row.typnamespace, row.typarray, labels)
    if row.typtype in "rm":
        return _range_type(layer, row)
    if row.typsubscript == ARRAY_SUBSCRIPT:
        element = layer.type(row.typelem)
        if element is None:
            raise InternalError(f"cache lookup failed for type {row.typelem}")
        return replace(
            make_array_type(element), oid=oid, name=row.typname, namespace=row.typnamespace, category="A", kind="b"
        )
    if row.typtype == "c":
        return _composite(layer, row)
    if row.typtype == "d":
        return domain_type(layer, row)
    if not row.typisdefined:
        return make_shell_type(oid, row.typname, row.typnamespace)
    if oid < FIRST_NORMAL_OID:
        return builtin_type(row)
    if row.typtype == "b":
        return _base_type(layer, row)
    raise InternalError(f'type "{row.typname}" has kind "{row.typtype}", which is not known here')


def _collated(layer: CatalogLayer, oid: int, collation: int) -> PgType | None:
    kind, under = layer.type(oid), layer.ask("collation", collation)
    if kind is None or under is None:
        return None
    return collated_type(kind, under)


def model_of_base_type(layer: CatalogLayer, input_function: int) -> PgType | None:
    """The type whose input function that is, under whatever name, a built-in one or an extension's; None when it is
    none's."""
    entry = REGISTRY.functions.get(input_function)
    if entry is None:
        row = layer.reader.one("pg_proc", oid=input_function)
        if row is not None and (own := BASE_TYPES.get(row.prosrc)) is not None:
            return own
        entry = None if row is None else internal_function(row.prosrc, len(row.proargtypes))
    model = None if entry is None else REGISTRY.types.get(entry.result)
    return model if model is not None and model.kind == "b" and not model.element_type else None


def _base_type(layer: CatalogLayer, row: Record) -> PgType:
    """A base type: the built-in type whose functions it names, under its own name and with what it says of itself."""
    model = model_of_base_type(layer, row.typinput)
    if model is None:
        raise InternalError(f'type "{row.typname}" has no input function')
    return replace(
        model,
        oid=row.oid,
        name=row.typname,
        namespace=row.typnamespace,
        length=row.typlen,
        by_value=row.typbyval,
        category=row.typcategory,
        preferred=row.typispreferred,
        receive=model.receive if row.typreceive else None,
        send=model.send if row.typsend else None,
        array=row.typarray,
        align=row.typalign,
        storage=row.typstorage,
        delimiter=row.typdelim,
        collation=row.typcollation,
        element=row.typelem,
        typmod_in=model.typmod_in if row.typmodin else None,
        typmod_out=model.typmod_out if row.typmodin else None,
        typmod_cast=None,
        formatted_name=None,
        element_bytes=model.element_bytes or model.send,
        element_value=model.element_value or _received(model),
        default=row.typdefault,
        subscripts=model.subscripts if row.typsubscript else None,
    )


def _received(model: PgType) -> Callable[[bytes], Datum] | None:
    receive = model.receive
    return None if receive is None else lambda data: receive(data, -1)


def _range_type(layer: CatalogLayer, row: Record) -> PgType:
    """A range or multirange type: what is in its row of pg_range, over the subtype."""
    key = {"rngtypid": row.oid} if row.typtype == "r" else {"rngmultitypid": row.oid}
    found = layer.reader.one("pg_range", **key)
    subtype = None if found is None else layer.type(found.rngsubtype)
    if found is None or subtype is None:
        raise InternalError(f"cache lookup failed for range type {row.oid}")
    canonical = layer.reader.one("pg_proc", oid=found.rngcanonical) if found.rngcanonical else None
    ordered = subtype
    if found.rngcollation and (under := layer.ask("collation", found.rngcollation)) is not None:
        ordered = collated_type(subtype, under)
    form = RangeForm(
        range=found.rngtypid,
        multirange=found.rngmultitypid,
        subtype=subtype,
        key=ordered.sort_value,
        bound_key=ordered.sort_key,
        canonical=None if canonical is None else CANONICAL.get(canonical.prosrc),
        operator_class=found.rngsubopc,
        collation=found.rngcollation,
        canonical_function=found.rngcanonical,
        difference_function=found.rngsubdiff,
    )
    make = make_range_type if row.typtype == "r" else make_multirange_type
    return make(form, row.typname, row.typarray, row.typnamespace)


def _composite(layer: CatalogLayer, row: Record) -> PgType:
    """A row type: its columns are those of its relation."""
    columns = sorted(
        (each for each in layer.reader.find("pg_attribute", attrelid=row.typrelid) if each.attnum > 0),
        key=lambda each: int(each.attnum),
    )
    fields = tuple(
        FieldDesc(each.attname, None)
        if each.attisdropped
        else FieldDesc(
            each.attname,
            layer.type(ordered_type(layer, each.atttypid, each.attcollation)),
            each.atttypmod,
            each.attcollation,
        )
        for each in columns
    )
    entry = layer.reader.one("pg_class", oid=row.typrelid)
    return make_composite_type(
        fields,
        oid=row.oid,
        name=row.typname,
        namespace=row.typnamespace,
        array=row.typarray,
        relation=row.typrelid,
        of_type=0 if entry is None else entry.reloftype,
    )


# functions


def internal_function(symbol: str, arguments: int) -> Function | None:
    """The function behind a symbol (pg_proc.prosrc of LANGUAGE internal), a built-in one or an extension's."""
    of_extension = LIBRARY.get((symbol, arguments))
    if of_extension is not None:
        return of_extension
    candidates = [
        item
        for item in (*REGISTRY.functions_by_name.get(symbol, ()), *_by_symbol().get(symbol, ()))
        if item.kind == "f" and len(item.arguments) == arguments
    ]
    return candidates[0] if candidates else None


_symbols: dict[str, list[Function]] = {}


def _by_symbol() -> dict[str, list[Function]]:
    if not _symbols:
        for item in REGISTRY.functions.values():
            if item.source:
                _symbols.setdefault(item.source, []).append(item)
    return _symbols


def _no_code(name: str) -> Callable[..., Datum]:
    def call(*_: Any) -> Any:
        raise NotSupported(f"function {name} is in a language that is not supported")

    return call


def _function(row: Record) -> Function:
    if row.prolang == SQL_LANGUAGE:
        return sql_function(row)
    arguments = tuple(row.proargtypes)
    base = internal_function(row.prosrc, len(arguments)) if row.prolang == INTERNAL_LANGUAGE else None
    defaults = split_texts(row.proargdefaults)
    parameters = parameters_of(row)
    values: dict[str, Datum] = {
        "oid": row.oid,
        "name": row.proname,
        "defaults": (None,) * len(defaults),
        "default_texts": defaults,
        "arguments": arguments,
        "result": row.prorettype,
        "strict": row.proisstrict,
        "volatility": row.provolatile,
        "kind": row.prokind,
        "returns_set": row.proretset,
        "variadic": row.provariadic,
        "argument_names": tuple([item.name for item in parameters if item.mode in INPUT_MODES]),
        "parameters": parameters,
        "source": row.prosrc,
        "namespace": row.pronamespace,
    }
    if base is None:
        return Function(implementation=_no_code(row.proname), **values)
    outputs = [item for item in parameters if item.mode in OUTPUT_MODES]
    return replace(
        base,
        out_columns=tuple(output_columns(outputs)) if row.prorettype == RECORD else (),
        output_name=outputs[0].name if len(outputs) == 1 and row.prorettype != RECORD else "",
        **values,
    )


def functions(layer: CatalogLayer, name: str) -> tuple[Function, ...]:
    """The functions of that name that are not declared, of all schemas: users', and built-in ones without code."""
    rows = [row for row in layer.reader.find("pg_proc", proname=name) if row.oid not in REGISTRY.functions]
    return tuple(layer.ask("function", row.oid) for row in sorted(rows, key=lambda row: row.oid))


def function(layer: CatalogLayer, oid: int) -> Function | None:
    """A function that is not declared."""
    row = layer.reader.one("pg_proc", oid=oid)
    if row is not None and oid < FIRST_NORMAL_OID:
        return builtin_function(layer, row)
    return None if row is None else _function(row)


# operators and casts


def _operator(row: Record) -> Operator:
    return Operator(
        oid=row.oid,
        name=row.oprname,
        left=row.oprleft,
        right=row.oprright,
        result=row.oprresult,
        function=row.oprcode,
        commutator=row.oprcom,
        negator=row.oprnegate,
        can_merge=row.oprcanmerge,
        can_hash=row.oprcanhash,
        namespace=row.oprnamespace,
    )


def operators(layer: CatalogLayer, name: str) -> tuple[Operator, ...]:
    """Users' operators of that name, of all schemas."""
    rows = [row for row in layer.reader.find("pg_operator", oprname=name) if row.oid >= FIRST_NORMAL_OID]
    return tuple(layer.ask("operator", row.oid) for row in sorted(rows, key=lambda row: row.oid))


def operator(layer: CatalogLayer, oid: int) -> Operator | None:
    """A user's operator."""
    row = layer.reader.one("pg_operator", oid=oid)
    return None if row is None else _operator(row)


def casts(layer: CatalogLayer) -> dict[tuple[int, int], Cast]:
    """All of users' casts by (source, target): there are few, and resolution asks for many that do not exist."""
    return {
        (row.castsource, row.casttarget): Cast(
            row.oid, row.castsource, row.casttarget, row.castfunc, row.castcontext, row.castmethod
        )
        for row in layer.reader.all("pg_cast")
        if row.oid >= FIRST_NORMAL_OID
    }


# operator classes


def operator_classes(layer: CatalogLayer) -> tuple[OperatorClass, ...]:
    """All of users' operator classes; there are few."""
    return tuple(_operator_class(layer, row) for row in layer.reader.all("pg_opclass") if row.oid >= FIRST_NORMAL_OID)


def _operator_class(layer: CatalogLayer, row: Record) -> OperatorClass:
    kind = row.opcintype
    members: dict[str, dict[int, int]] = {"s": {}, "o": {}}
    mixed: dict[str, dict[int, int]] = {"s": {}, "o": {}}
    for each in layer.reader.find("pg_amop", amopfamily=row.opcfamily):
        if each.amoplefttype == each.amoprighttype == kind:
            members[each.amoppurpose][each.amopstrategy] = each.amopopr
        elif row.opcmethod not in (BTREE.oid, HASH.oid):
            mixed[each.amoppurpose][each.amopopr] = each.amopstrategy
    support = {
        each.amprocnum: each.amproc
        for each in layer.reader.find("pg_amproc", amprocfamily=row.opcfamily)
        if each.amproclefttype == each.amprocrighttype == kind
    }
    family = layer.reader.one("pg_opfamily", oid=row.opcfamily)
    return OperatorClass(
        oid=row.oid,
        name=row.opcname,
        family=row.opcfamily,
        family_name="" if family is None else family.opfname,
        input_type=kind,
        method=row.opcmethod,
        default=row.opcdefault,
        operators=_dense(members["s"]),
        orderings=_dense(members["o"]),
        mixed=mixed["s"],
        mixed_orderings=mixed["o"],
        support=_dense(support),
        namespace=row.opcnamespace,
    )


def _dense(numbered: dict[int, int]) -> tuple[int, ...]:
    return tuple(numbered.get(number, 0) for number in range(1, max(numbered, default=0) + 1))


# collations


def collation(layer: CatalogLayer, oid: int) -> Collation | None:
    """A collation by OID."""
    if oid == INDETERMINATE:
        return UNDETERMINED
    row = layer.reader.one("pg_collation", oid=oid)
    if row is None:
        return None
    return Collation(
        row.oid,
        row.collname,
        row.collnamespace,
        row.collprovider,
        row.collisdeterministic,
        row.colliculocale if row.collprovider == "i" else row.collcollate,
        row.collctype,
        row.collversion,
    )


def collations(layer: CatalogLayer, name: str) -> tuple[Collation, ...]:
    """The collations of that name, of all schemas."""
    rows = layer.reader.find("pg_collation", collname=name)
    return tuple(layer.ask("collation", row.oid) for row in rows)


def ordered_type(layer: CatalogLayer, kind: int, collation: int) -> int:
    """The type of values that are ordered by a collation: the type itself where that is the order of code points."""
    if collation in CODE_POINTS:
        return kind
    found = layer.ask("collation", collation)
    return collated(kind, collation) if found is not None and found.orders else kind


def access_method(layer: CatalogLayer, name: str) -> int | None:
    """An access method's OID by its name."""
    row = layer.reader.one("pg_am", amname=name)
    return None if row is None else int(row.oid)


LOADERS: dict[str, Callable[..., Datum]] = {
    "type name": type_oid,
    "type": user_type,
    "functions": functions,
    "function": function,
    "aggregate": aggregate,
    "operators": operators,
    "operator": operator,
    "casts": casts,
    "operator classes": operator_classes,
    "collation": collation,
    "collations": collations,
    "access method": access_method,
}

"""Built-in functions and types whose code is not here: rows of the catalog that say what PostgreSQL has.

Nothing of them is in memory until somebody asks for one by name or OID. A call is 0A000, and names the function; two
kinds run all the same. A function in the language SQL has its code in its row. One with an argument of type
``internal`` cannot be called by SQL, which has no value of that type, in PostgreSQL neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora.errors import NotSupported
from compute_node.catalog.routines import output_columns, parameters_of, split_texts, sql_function
from compute_node.catalog.rows import Record
from compute_node.types.common import refuse_output
from compute_node.types.oids import INTERNAL, RECORD
from compute_node.types.registry import Function, PgType

if TYPE_CHECKING:
    from compute_node.catalog.layer import CatalogLayer

SQL_LANGUAGE = 14
_INPUT = "ibv"
_OUTPUT = "obt"


def runs(row: Record) -> bool:
    """Whether a built-in function that is not declared gives PostgreSQL's answers: see the module."""
    return row.prolang == SQL_LANGUAGE or (row.prokind == "f" and INTERNAL in row.proargtypes)


def builtin_function(layer: CatalogLayer, row: Record) -> Function:
    """The function of a built-in row that is not declared."""
    if row.prolang == SQL_LANGUAGE:
        return sql_function(row)
    parameters = parameters_of(row)
    outputs = [item for item in parameters if item.mode in _OUTPUT]
    defaults = split_texts(row.proargdefaults)
    types = [layer.type(oid) for oid in row.proargtypes]
    shown = ", ".join("???" if item is None else item.formatted_name or item.name for item in types)
    signature = f"{row.proname}({shown})"

    def call(*_: Any) -> Any:
        raise NotSupported(f"function {signature} is not supported")

    return Function(
        oid=row.oid, name=row.proname, arguments=tuple(row.proargtypes), result=row.prorettype, implementation=call,
        strict=row.proisstrict, volatility=row.provolatile, kind=row.prokind, returns_set=row.proretset,
        variadic=row.provariadic,
        argument_names=tuple([item.name for item in parameters if item.mode in _INPUT]),
        out_columns=tuple(output_columns(outputs)) if row.prorettype == RECORD else (),
        defaults=(None,) * len(defaults), default_texts=defaults, source=row.prosrc, namespace=row.pronamespace,
        missing="" if runs(row) else f"function {signature} is not supported",
    )  # fmt: skip


def builtin_type(row: Record) -> PgType:
    """A built-in type that is not declared: it has a name, and no values."""
    message = f"type {row.typname} is not supported"

    def refuse(*_: object) -> Any:
        raise NotSupported(message)

    return PgType(
        oid=row.oid, name=row.typname, length=row.typlen, by_value=row.typbyval, category=row.typcategory,
        kind=row.typtype, align=row.typalign, storage=row.typstorage, array=row.typarray,
        input=refuse, output=refuse_output(row.typname), receive=None, send=None, disk="s",
    )  # fmt: skip

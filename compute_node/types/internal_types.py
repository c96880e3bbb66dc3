"""Types that PostgreSQL has for its own use.

Nothing reads a value of them from text; of BRIN summaries and GiST keys there are none here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aurora.errors import NotSupported
from compute_node.types.common import refuse_input, refuse_output
from compute_node.types.declare import fn
from compute_node.types.registry import REGISTRY, PgType


def _refuse_gtsvector(text: str, typmod: int, env: object) -> Any:
    raise NotSupported("gtsvector_in not implemented")


_OUTPUTS: dict[str, Callable[[Any, object], str]] = {
    "pg_ndistinct": lambda value, env: str(value),
    "pg_dependencies": lambda value, env: str(value),
    "pg_mcv_list": lambda value, env: "\\x" + str(value).encode().hex(),
}
"""of those that statistics objects have: kept as the texts that ANALYZE makes"""
_NO_VALUES = (
    (3642, "gtsvector", "U", 3644, "p", 0),
    (3361, "pg_ndistinct", "Z", 0, "x", 100),
    (3402, "pg_dependencies", "Z", 0, "x", 100),
    (5017, "pg_mcv_list", "Z", 0, "x", 100),
    (4600, "pg_brin_bloom_summary", "Z", 0, "x", 100),
    (4601, "pg_brin_minmax_multi_summary", "Z", 0, "x", 100),
)
for _oid, _name, _category, _array, _storage, _collation in _NO_VALUES:
    REGISTRY.add_type(
        PgType(
            oid=_oid, name=_name, length=-1, by_value=False, category=_category, align="i", storage=_storage,
            array=_array, collation=_collation,
            input=_refuse_gtsvector if _name == "gtsvector" else refuse_input(_name),
            output=_OUTPUTS.get(_name) or refuse_output(_name),
            receive=None, send=None, disk="s",
        )
    )  # fmt: skip
REGISTRY.add_type(
    PgType(
        oid=32, name="pg_ddl_command", length=8, by_value=True, category="P", kind="p", align="d",
        input=refuse_input("pg_ddl_command"), output=refuse_output("pg_ddl_command"), receive=None, send=None,
        disk="s",
    )
)  # fmt: skip


def _shell(*_: Any) -> Any:
    raise NotSupported("cannot accept a value of a shell type")


def _shell_out(*_: Any) -> Any:
    raise NotSupported("cannot display a value of a shell type")


fn(2398, "shell_in(cstring) void nullable", _shell)
fn(2399, "shell_out(void) cstring", _shell_out)

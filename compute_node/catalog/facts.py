"""The built-in rows of PostgreSQL 15's catalogs of types, functions and operators, as recorded from one.

``facts_CATALOG.json`` in ``compute_node/relations/schema`` → values by column name. They are read when a new volume's
catalogs are made or an older volume's compared, not when the program runs: what the catalog says of a function whose
code is not here is only in its pages.
"""

from __future__ import annotations

from collections.abc import Iterator

from aurora.datum import Datum
from compute_node.relations.schema import load_json


def fact_rows(catalog: str) -> Iterator[dict[str, Datum]]:
    """Each row of a catalog in ``record_facts.CATALOGS_OF_FACTS``, in the order of its first column."""
    content = load_json(f"facts_{catalog}.json")
    usual = content["usual"]
    for row in content["rows"]:
        values = usual | row
        if catalog == "pg_proc":
            values.setdefault("prosrc", row["proname"])
            values.setdefault("pronargs", len(row["proargtypes"]))
        yield values


def answer_rows(name: str) -> list[Datum]:
    """The rows that a function which only tells facts gives (``record_facts``)."""
    content: Datum = load_json(f"facts_{name}.json")
    return list(content)

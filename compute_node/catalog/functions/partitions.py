"""pg_get_partkeydef, pg_partition_tree and the like: what clients ask about partitioned tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aurora.datum import Datum, Row
from aurora.errors import InternalError, InvalidParameterValue
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.catalog.functions.names import class_name
from compute_node.relations.access_methods import BTREE, HASH
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import HASH as BY_HASH
from compute_node.relations.partitions import LIST as BY_LIST
from compute_node.relations.partitions import (
    STRATEGIES,
    Edge,
    PartitionBound,
    PartitionKey,
)
from compute_node.session import routines
from compute_node.sql.analyze.coercion import is_binary_coercible
from compute_node.sql.analyze.collations import collation_of_expression
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import deparse_stored, quote_literal
from compute_node.sql.expressions import And
from compute_node.sql.expressions import Call as FunctionCall
from compute_node.sql.partitioning import hash_function, key_expressions, key_names, key_of, partition_constraint
from compute_node.types import oids
from compute_node.types.collation.collation import plain
from compute_node.types.registry import TypeEnv

_BARE = frozenset("0123456789.")


def value_text(view: CatalogView, env: TypeEnv, kind: int, value: Datum) -> str:
    """A bound's value as FOR VALUES shows it: a literal without its type."""
    if value is None:
        return "NULL"
    if isinstance(value, Edge):
        return "MINVALUE" if value.side < 0 else "MAXVALUE"
    text = view.type(kind).output(value, env)
    root = view.type(kind).root.oid
    if root == oids.BOOL:
        return "true" if value else "false"
    if root == oids.INT4 and not text.startswith("-"):
        return text
    if root == oids.NUMERIC and "." in text and _BARE.issuperset(text):
        return text
    return quote_literal(text)


def bound_text(view: CatalogView, env: TypeEnv, key: PartitionKey, bound: PartitionBound) -> str:
    """``FOR VALUES …`` or ``DEFAULT``."""

    def values(given: Sequence[Datum]) -> str:
        texts = [
            value_text(view, env, key.types[place if len(key.types) > 1 else 0], value)
            for place, value in enumerate(given)
        ]
        return f"({', '.join(texts)})"

    if bound.is_default:
        return "DEFAULT"
    if bound.strategy == BY_HASH:
        return f"FOR VALUES WITH (modulus {bound.modulus}, remainder {bound.remainder})"
    if bound.strategy == BY_LIST:
        return f"FOR VALUES IN {values(bound.values)}"
    return f"FOR VALUES FROM {values(bound.lower)} TO {values(bound.upper)}"


def shown_bound(call: Call, desc: RelationDesc) -> str | None:
    """pg_get_expr of pg_class.relpartbound."""
    parent = call.view.relation(desc.parents[0]) if desc.bound is not None else None
    if parent is None or desc.bound is None:
        return None
    return bound_text(call.view, call.session.env, key_of(parent), desc.bound)


def get_partkeydef(call: Call, oid: int) -> str | None:
    """pg_get_partkeydef; NULL for what is not partitioned."""
    desc = call.view.relation(oid)
    if desc is None or desc.partition_key is None:
        return None
    key = desc.partition_key
    return f"{STRATEGIES[key.strategy]} ({', '.join(key_column_texts(call.view, call.session.env, desc))})"


def key_column_texts(view: CatalogView, env: TypeEnv, desc: RelationDesc) -> list[str]:
    """The key's columns with their collations and operator classes, where these are not the usual ones."""
    key = key_of(desc)
    method = HASH if key.strategy == BY_HASH else BTREE
    found = []
    for place, (text, expr) in enumerate(zip(key_names(view, desc, env), key_expressions(view, desc), strict=True)):
        attno, collation, kind = key.columns[place], key.collations[place], key.types[place]
        if not attno:
            is_call = isinstance(expr, FunctionCall) and not expr.operator and expr.display not in ("cast", "coercion")
            text = text if is_call else f"({text})"
        usual = desc.columns[attno - 1].collation if attno else collation_of_expression(view, desc, expr)
        named = view.collation(collation) if collation and collation != usual else None
        text += "" if named is None else f" COLLATE {quote_identifier(named.name)}"
        default = view.default_operator_class(kind, method.oid)
        chosen = view.operator_class(key.operator_classes[place])
        if chosen is not None and (default is None or default.oid != chosen.oid):
            text += f" {class_name(view, chosen)}"
        found.append(text)
    return found


def get_partition_constraintdef(call: Call, oid: int) -> str | None:
    """pg_get_partition_constraintdef; NULL for what is no partition, or one that takes everything."""
    desc = call.view.relation(oid)
    if desc is None or not desc.is_partition:
        return None
    parts = partition_constraint(call.view, desc)
    if not parts:
        return None
    whole = parts[0] if len(parts) == 1 else And(type=oids.BOOL, arguments=tuple(parts))
    return deparse_stored(whole, call.view, desc, call.session.env)


def _family(call: Call, oid: int) -> RelationDesc | None:
    """A table or index that is partitioned or a partition."""
    desc = call.view.relation(oid)
    return desc if desc is not None and (desc.kind in "pI" or desc.parents) else None


def partition_tree(call: Call, oid: int) -> Iterator[Row]:
    """pg_partition_tree: the relation and all below it, level by level."""
    root = _family(call, oid)
    if root is None or (root.kind not in "pI" and not _is_part(call, root)):
        return
    pending: list[tuple[RelationDesc, int]] = [(root, 0)]
    for desc, level in pending:
        parent = desc.parents[0] if desc.parents else None
        yield desc.oid, parent, desc.kind not in "pI", level
        for child in desc.children:
            found = call.view.relation(child)
            if found is not None:
                pending.append((found, level + 1))


def _is_part(call: Call, desc: RelationDesc) -> bool:
    parent = call.view.relation(desc.parents[0]) if desc.parents else None
    return parent is not None and parent.kind in "pI"


def partition_ancestors(call: Call, oid: int) -> Iterator[int]:
    """pg_partition_ancestors: the relation and what it is a part of, up to the root."""
    desc = _family(call, oid)
    if desc is None or (desc.kind not in "pI" and not _is_part(call, desc)):
        return
    while True:
        yield int(desc.oid)
        parent = call.view.relation(desc.parents[0]) if _is_part(call, desc) else None
        if parent is None:
            return
        desc = parent


def partition_root(call: Call, oid: int) -> int | None:
    """pg_partition_root; NULL for what is neither partitioned nor a partition."""
    found = list(partition_ancestors(call, oid))
    return found[-1] if found else None


def satisfies_hash_partition(
    call: Call,
    kinds: Sequence[int],
    oid: int | None,
    modulus: int | None,
    remainder: int | None,
    *values: Datum,
) -> bool | None:
    """satisfies_hash_partition: whether a row with these key values belongs to that remainder. ``kinds``: the types of
    all arguments. 22023, XX000."""
    if oid is None or modulus is None or remainder is None:
        return False
    desc: RelationDesc | None = call.view.relation(oid)
    if desc is None:
        raise InternalError(f"could not open relation with OID {oid}")
    if modulus <= 0:
        raise InvalidParameterValue("modulus for hash partition must be an integer value greater than zero")
    if remainder < 0:
        raise InvalidParameterValue(
            "remainder for hash partition must be an integer value greater than or equal to zero"
        )
    if remainder >= modulus:
        raise InvalidParameterValue("remainder for hash partition must be less than modulus")
    key = desc.partition_key
    if key is None or key.strategy != BY_HASH:
        raise InvalidParameterValue(f'"{desc.name}" is not a hash partitioned table')
    given = [plain(kind) for kind in kinds[3:]]
    is_array = len(given) == 1 and len(values) != 1
    if is_array:
        given *= len(values)
    if len(values) != len(key.columns):
        raise InvalidParameterValue(
            f"number of partitioning columns ({len(key.columns)}) does not match number of partition keys provided"
            f" ({len(values)})"
        )
    quote = '"' if is_array else ""
    for place, (kind, wanted) in enumerate(zip(given, key.types, strict=True), 1):
        if kind != wanted and (is_array or not is_binary_coercible(call.view, kind, wanted)):
            raise InvalidParameterValue(
                f"column {place} of the partition key has type {quote}{call.type_name(wanted)}{quote}, but supplied"
                f" value is of type {quote}{call.type_name(kind)}{quote}"
            )
    hash_of = hash_function(call.view, key, lambda site, given: routines.call(call.session, site, given, None))
    return hash_of is not None and hash_of(values) % modulus == remainder


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_get_partkeydef": get_partkeydef,
    "pg_get_partition_constraintdef": get_partition_constraintdef,
    "pg_partition_tree": partition_tree,
    "pg_partition_ancestors": partition_ancestors,
    "pg_partition_root": partition_root,
    "satisfies_hash_partition": satisfies_hash_partition,
}

"""Domains: a type of another's values that satisfy constraints (manual, 8.18).

A value is one of the base type's, and so are its stored form, its order and its output. Input is the base type's and
then the rules: who reads a value in text form passes them by ``PgType.input``, who reads it in binary form, or meets a
NULL, by ``PgType.check``, and expressions by ``CoerceToDomain``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aurora.datum import Datum
from aurora.errors import CheckViolation, NotNullViolation, SqlError
from compute_node.types.registry import Domain, PgType, TypeEnv, Wire

Check = Callable[[Datum, TypeEnv], None]
Tests = Callable[[Datum, TypeEnv], str | None]
"""value, settings → the name of the first CHECK that is false for it"""


def _shown(item: PgType, env: TypeEnv) -> tuple[str, str | None]:
    """The domain as messages name it, and its schema."""
    if env.lookup is None:
        return item.name, None
    return env.lookup("format_type", item.oid, None), env.lookup("schema_name", item.namespace)


def null_violation(item: PgType, env: TypeEnv) -> SqlError:
    """23502."""
    name, schema = _shown(item, env)
    return NotNullViolation(f"domain {name} does not allow null values", schema=schema, data_type=item.name)


def check_violation(item: PgType, env: TypeEnv, constraint: str) -> SqlError:
    """23514."""
    name, schema = _shown(item, env)
    return CheckViolation(
        f'value for domain {name} violates check constraint "{constraint}"',
        schema=schema,
        data_type=item.name,
        constraint=constraint,
    )


def make_domain_type(
    base: PgType,
    rules: Domain,
    tests: Tests,
    *,
    oid: int,
    name: str,
    namespace: int,
    array: int,
    base_typmod: int,
    collation: int,
) -> PgType:
    """The type of a domain over ``base``; ``tests`` evaluates its CHECKs, called when it has any."""
    root = base.root
    constrained = rules.not_null or bool(rules.checks)
    inner = root.check

    def check(value: Datum, env: TypeEnv) -> None:
        if value is None:
            if rules.not_null:
                raise null_violation(item, env)
        elif inner is not None:
            inner(value, env)
        if rules.checks:
            failed = tests(value, env)
            if failed is not None:
                raise check_violation(item, env, failed)

    def read(text: str, typmod: int, env: TypeEnv) -> Datum:
        value = root.input(text, base_typmod, env)
        if constrained:
            check(value, env)
        return value

    receive, load = root.receive, None
    if receive is not None:

        def load(data: bytes, typmod: int) -> Datum:
            return receive(data, base_typmod)

    plain = not constrained and base_typmod < 0
    item = replace(
        root,
        oid=oid,
        name=name,
        namespace=namespace,
        array=array,
        kind="d",
        collation=collation,
        preferred=False,
        formatted_name=None,
        element=0,
        element_type=None,
        members=(),
        fields=(),
        input=read,
        receive=load,
        typmod_in=None,
        typmod_out=None,
        typmod_cast=None,
        wire=root.wire if plain else Wire(text=root.wire.text, binary=root.wire.binary),
        base=base,
        base_typmod=base_typmod,
        domain=rules,
        check=check if constrained or inner is not None else None,
        parts=base.parts | {base.oid},
    )
    return item

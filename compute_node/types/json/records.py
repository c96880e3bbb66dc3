"""Rows from json and jsonb: json_populate_record and its kin (manual, 9.16).

Each column's type says how its value is read: a row type from an object, an array from an array, json and jsonb from
what stands there, any other type from the text, through its input function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aurora.datum import Datum
from aurora.errors import (
    DatatypeMismatch,
    InvalidParameterValue,
    InvalidTextRepresentation,
    NotSupported,
    SqlError,
)
from compute_node.types import oids
from compute_node.types.array_value import DIMENSIONS_MAX, too_many_dimensions
from compute_node.types.declare import specialized
from compute_node.types.json.bounds import stack_depth_exceeded
from compute_node.types.json.nodes import JsonbPart, JsonPart, Part
from compute_node.types.json.render import is_array, is_row
from compute_node.types.json.value import Jsonb
from compute_node.types.record import Record
from compute_node.types.registry import FieldDesc, FunctionContext, PgType, TypeEnv

Types = tuple[PgType, ...]
_NESTED_MAX = 1000


class _Reader:
    """Reads the parts of one value."""

    def __init__(self, env: TypeEnv) -> None:
        self.env = env
        self.depth = 0

    def field(self, item: PgType, typmod: int, name: str | None, default: Any, part: Part | None) -> Datum:
        """A column's or element's value; ``part`` is None where there is none."""
        if item.base is not None:
            return self.domain(item, name, default, part)
        if part is None or part.kind == "null":
            return None
        if part.kind != "string":
            if is_array(item):
                return _Array(self, item, typmod, name).read(part)
            if is_row(item):
                return self.row(item.fields, item, default, part)
        if item.oid in (oids.JSON, oids.JSONB):
            if item.oid == (oids.JSONB if isinstance(part, JsonbPart) else oids.JSON):
                return part.stored()
            return item.input(part.json(), typmod, self.env)
        return item.input(part.content(), typmod, self.env)

    def domain(self, item: PgType, name: str | None, default: Any, part: Part | None) -> Datum:
        base = item.base
        if base is None:
            return None
        value = None
        if part is not None and part.kind != "null":
            value = self.field(base, item.base_typmod, name, default, part)
        if item.check is not None:
            item.check(value, self.env)
        return value

    def row(self, fields: Sequence[FieldDesc], item: PgType | None, default: Any, part: Part) -> Datum:
        """A row with these columns from an object; what it lacks is ``default``'s."""
        if part.kind != "object":
            what = "an array" if part.kind == "array" else "a scalar"
            raise InvalidParameterValue(f"cannot call populate_composite on {what}")
        members = part.members()
        if default is not None and not members:
            return default
        self.depth += 1
        if self.depth > _NESTED_MAX:
            raise stack_depth_exceeded()
        values: list[Datum] = []
        for at, field in enumerate(fields):
            old = None if default is None else default[at]
            if field.type is None:
                values.append(None)
                continue
            found = members.get(field.name)
            if default is not None and found is None:
                values.append(old)
            else:
                values.append(self.field(field.type, field.typmod, field.name, old, found))
        self.depth -= 1
        return Record.of(values, tuple(field.type for field in fields), tuple(field.name for field in fields))


class _Array:
    """Reads an array: how deep it goes is known where the first element stands that is none."""

    def __init__(self, reader: _Reader, item: PgType, typmod: int, name: str | None) -> None:
        self.reader, self.typmod, self.name = reader, typmod, name
        self.element = item.element_type or item
        self.depth = 0
        self.lengths: list[int | None] = []
        self.sizes: list[int] = []

    def read(self, part: Part) -> list[Datum]:
        value = self.level(part, 1)
        return value if any(self.lengths) and 0 not in self.lengths else []

    def level(self, part: Part, number: int) -> list[Datum]:
        if part.kind != "array":
            raise self.expected(number - 1)
        if number > DIMENSIONS_MAX:
            raise too_many_dimensions(number)
        parts = list(part.elements())
        if not self.depth and (not parts or parts[0].kind != "array"):
            self.depth = number
            self.lengths = [None] * number
        if len(self.sizes) < number:
            self.sizes.append(0)
        self.sizes[number - 1] = 0
        values = []
        for each in parts:
            if self.depth and number >= self.depth:
                values.append(self.reader.field(self.element, self.typmod, None, None, each))
            else:
                values.append(self.level(each, number + 1))
            self.sizes[number - 1] += 1
        if self.lengths[number - 1] not in (None, len(parts)):
            raise InvalidTextRepresentation(
                "malformed JSON array",
                detail="Multidimensional arrays must have sub-arrays with matching dimensions.",
            )
        self.lengths[number - 1] = len(parts)
        return values

    def expected(self, number: int) -> SqlError:
        """22P02 for what should be an array, at this depth."""
        hint = None
        if number <= 0:
            hint = None if self.name is None else f'See the value of key "{self.name}".'
        else:
            place = "".join(f"[{size}]" for size in self.sizes[:number])
            hint = f"See the array element {place}" + ("." if self.name is None else f' of key "{self.name}".')
        return InvalidTextRepresentation("expected JSON array", hint=hint)


def _part(value: Datum) -> Part:
    return JsonbPart(value.data) if isinstance(value, Jsonb) else JsonPart.of(value)


def _unknown_row(name: str) -> SqlError:
    return NotSupported(
        f"could not determine row type for result of {name}",
        hint="Provide a non-null record argument, or call the function in the FROM clause using a column definition "
        "list.",
    )


class _Rows:
    """One call site of one of the functions. ``fields``: what the query says the columns are."""

    def __init__(self, name: str, base: PgType | None, fields: Sequence[FieldDesc] | None) -> None:
        self.name, self.base, self.given = name, base, fields
        if base is not None and not is_row(base.root):
            raise DatatypeMismatch(f"first argument of {name} must be a row type")

    def fields(self, default: Any) -> Sequence[FieldDesc]:
        """The result's columns."""
        if self.base is not None and self.base.root.fields:
            return self.base.root.fields
        if default is not None:
            self.check(default.types)
            names = default.names or tuple(f"f{number}" for number in range(1, len(default) + 1))
            return [FieldDesc(name, item) for name, item in zip(names, default.types, strict=True)]
        if self.given is None:
            raise _unknown_row(self.name)
        return self.given

    def check(self, types: Sequence[PgType]) -> None:
        """42804 unless a row of these types is what the query says the rows are."""
        if self.given is None:
            return
        detail = None
        if len(types) != len(self.given):
            returned = f"{len(types)} attribute{'' if len(types) == 1 else 's'}"
            detail = f"Returned row contains {returned}, but query expects {len(self.given)}."
        for number, (item, field) in enumerate(zip(types, self.given, strict=False), 1):
            if detail is None and field.type is not None and item.oid != field.type.oid:
                ours, theirs = (each.formatted_name or each.name for each in (item, field.type))
                detail = f"Returned type {ours} at ordinal position {number}, but query expects {theirs}."
        if detail is not None:
            raise DatatypeMismatch("function return row and query-specified return row do not match", detail=detail)

    def one(self, env: TypeEnv, fields: Sequence[FieldDesc], default: Any, part: Part) -> Datum:
        """A row from an object."""
        value = _Reader(env).row(fields, None, default, part)
        if self.base is not None and self.base.check is not None:
            self.base.check(value, env)
        return value

    def record(self, context: FunctionContext, default: Any, value: Datum) -> Datum:
        """populate_record and to_record."""
        fields = self.fields(default)
        return default if value is None else self.one(context.env, fields, default, _part(value))

    def set(self, context: FunctionContext, default: Any, value: Datum) -> Iterator[Datum]:
        """populate_recordset and to_recordset."""
        fields = self.fields(default)
        if value is None:
            return iter(())
        part = _part(value)
        if part.kind != "array":
            if isinstance(part, JsonbPart):
                raise InvalidParameterValue(f"cannot call {self.name} on a non-array")
            what = "an object" if part.kind == "object" else "a scalar"
            raise InvalidParameterValue(f"cannot call {self.name} on {what}")
        return self._set(context.env, fields, default, part)

    def _set(self, env: TypeEnv, fields: Sequence[FieldDesc], default: Any, part: Part) -> Iterator[Datum]:
        for each in part.elements():
            if each.kind != "object":
                raise InvalidParameterValue(f"argument of {self.name} must be an array of objects")
            yield self.one(env, fields, default, each)


Maker = Callable[[Types, Sequence[FieldDesc] | None], Callable[..., Datum]]


def _populate(name: str, is_set: bool) -> Maker:
    def make(types: Types, fields: Sequence[FieldDesc] | None) -> Callable[..., Datum]:
        rows = _Rows(name, types[0], fields)
        run = rows.set if is_set else rows.record
        return lambda context, base, value, as_text=False: run(context, base, value)

    return make


def _to_record(name: str, is_set: bool) -> Maker:
    def make(types: Types, fields: Sequence[FieldDesc] | None) -> Callable[..., Datum]:
        rows = _Rows(name, None, fields)
        run = rows.set if is_set else rows.record
        return lambda context, value: run(context, None, value)

    return make


def _declare(oid: int, signature: str, maker: Maker, **extra: Any) -> None:
    specialized(
        oid,
        signature,
        lambda types, result: maker(types, None),
        needs_context=True,
        with_fields=maker,
        **extra,
    )


_TEXT: dict[str, Any] = {"argument_names": ("base", "from_json", "use_json_as_text"), "defaults": (False,)}

_declare(
    3960,
    "json_populate_record(anyelement, json, bool) anyelement stable nullable",
    _populate("json_populate_record", False),
    **_TEXT,
)
_declare(
    3961,
    "json_populate_recordset(anyelement, json, bool) setof anyelement stable nullable",
    _populate("json_populate_recordset", True),
    **_TEXT,
)
_declare(
    3209,
    "jsonb_populate_record(anyelement, jsonb) anyelement stable nullable",
    _populate("jsonb_populate_record", False),
)
_declare(
    3475,
    "jsonb_populate_recordset(anyelement, jsonb) setof anyelement stable nullable",
    _populate("jsonb_populate_recordset", True),
)
_declare(3204, "json_to_record(json) record stable", _to_record("json_to_record", False))
_declare(3205, "json_to_recordset(json) setof record stable nullable", _to_record("json_to_recordset", True))
_declare(3490, "jsonb_to_record(jsonb) record stable", _to_record("jsonb_to_record", False))
_declare(3491, "jsonb_to_recordset(jsonb) setof record stable nullable", _to_record("jsonb_to_recordset", True))

"""JSON as Python has it: what status, EXPLAIN and other reports are made of."""

from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object: texts, numbers, booleans, None, lists and objects by name. Whoever makes one says in its docstring
what is in it."""

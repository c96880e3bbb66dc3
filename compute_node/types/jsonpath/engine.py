"""The executor with all its steps, as one import."""

from __future__ import annotations

from compute_node.types.jsonpath import predicates, steps
from compute_node.types.jsonpath.executor import Execution, PathError, run

__all__ = ["Execution", "PathError", "predicates", "run", "steps"]

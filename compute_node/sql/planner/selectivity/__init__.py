"""How many rows a condition leaves (manual, chapter 76).

``Estimator`` (``conditions``) is what the rules ask. It knows a column by ``Variable`` (``variable``), values by their
statistics (``scalars``, ``patterns``, ``containment``), pairs of columns by ``joins``, groups by ``groups``.
"""

from compute_node.sql.planner.selectivity.conditions import Estimator
from compute_node.sql.planner.selectivity.variable import table_size

__all__ = ["Estimator", "table_size"]

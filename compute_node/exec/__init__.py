"""Execution: a planned statement becomes an ``Executable`` that any session may run.

``PlannedStmt`` → ``build`` → tree of nodes whose expressions are compiled Python (``compile``) → batches of row tuples
→ session. Point statements (``point``) are one generated function instead.

Invariants: nodes and executables hold no state of an execution (that lives in ``ExecContext`` and in generators), so
one object in the plan cache serves every session; generated source holds no user text and no constants, only bound
names; rows are tuples; a batch is a list of rows, never empty.
"""

from compute_node.exec.context import ExecContext
from compute_node.exec.executable import Executable, build

__all__ = ["ExecContext", "Executable", "build"]

"""The expression compiler: typed expressions → Python source → code objects with bound names.

``unit`` holds the pieces of generated source, ``compiler`` the dispatch and the simple nodes, ``calls`` function calls,
``conditions`` boolean logic, ``containers`` arrays and rows, ``subplans`` sub-selects, ``xml`` XMLELEMENT and its kin,
``rows`` whole-node functions over batches, ``runtime`` what generated code calls.

Invariants: a fixed vocabulary; values appear only as bound names; every expression is evaluated at most once a row
unless it is a plain name or subscript; SQL's lazy constructs (CASE, COALESCE, AND/OR in filters) are lazy.
"""

from compute_node.exec.compile import calls, conditions, containers, subplans, xml
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.unit import Code, Scope, Unit

__all__ = ["Code", "Compiler", "Scope", "Unit", "calls", "conditions", "containers", "subplans", "xml"]

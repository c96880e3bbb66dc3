"""EXPLAIN: a planned statement → PostgreSQL's plan text or JSON.

``describe`` makes a tree of labelled nodes of the plan, ``expressions`` words its expressions, ``instrument`` measures
a run for ANALYZE, ``render`` writes the tree out.
"""

from compute_node.exec.explain.render import Explanation, SeveralExplanations

__all__ = ["Explanation", "SeveralExplanations"]

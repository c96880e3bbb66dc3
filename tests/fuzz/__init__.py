"""Random tables, queries and changes: two ways to the same rows must give the same rows.

| module | holds |
| --- | --- |
| ``choice`` | decisions: random ones, which are kept, or kept ones again |
| ``scalars`` | the types and their values |
| ``functions`` | templates of expressions by type |
| ``expressions`` | expressions and conditions |
| ``tables`` | tables, rows, indexes |
| ``queries`` | FROM, sub-selects, plain queries |
| ``grouping``, ``windows``, ``composed`` | the other kinds of queries |
| ``bulk`` | tables of thousands of rows and queries over them |
| ``changes`` | INSERT, UPDATE, DELETE, MERGE |
| ``oracles`` | how else the rows may be had: PostgreSQL, other settings, the parts of a condition … |
| ``documented`` | which differences are in the docs |
| ``shrink`` | decisions made simpler as long as the difference stays |
| ``run``, ``jobs`` | cases, and who asks them |

``python -m tests.fuzz`` runs as many as it is told; a difference shrinks to a script of a few statements. Each query
has exactly one answer: where SQL leaves a choice (the order of rows, which of two equal values a group keeps, the
order of a sum of floats), the generator does not make such a query, and says so where it avoids it.
"""

"""Random tables and queries: two ways to the same rows must give the same rows.

``choice`` draws, ``tables`` and ``expressions`` and ``queries`` make SQL from what is drawn, ``oracles`` says how else
the rows may be had: from PostgreSQL, by other plans, from the parts of a condition. ``python -m tests.fuzz`` runs as
many as it is told; a difference shrinks to a script of a few statements.
"""

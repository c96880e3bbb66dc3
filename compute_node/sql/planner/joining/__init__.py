"""Rule: join order and methods.

::

    items (tables, nested problems) + conditions ─ clauses ─► search: sets of items, smaller ones first
                                                                │ each pair of sets that conditions join
                                                                ▼
                                              pairs: nested loops (given, kept, cached), hash, merge ─► Rel of the union

``search`` finds the order by dynamic programming over sets of items, whose two sides may both be joins; past its bounds
it joins greedily what gives the fewest rows. ``pairs`` makes the paths of one pair and keeps those that no other beats
(``keep``). ``clauses`` are the conditions as both look at them, ``given`` scans with keys from other items, ``merging``
what merge joins need besides. Invariant: all paths of a set give the same rows.
"""

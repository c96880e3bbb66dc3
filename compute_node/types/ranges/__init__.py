"""Ranges and multiranges: a subtype's order → range types, their functions, operators and aggregates (manual, 8.17 and
9.20).

``value`` has the values and their arithmetic over a ``RangeForm``, ``text`` and ``binary`` their forms, ``types`` makes
the types, those that users create too, and declares PostgreSQL's six. ``functions``, ``operators`` and ``aggregates``
declare what is done with them. A range of a discrete subtype is always in its canonical form, ``[low,high)``.
"""

"""Window functions over sorted rows (manual, 4.2.8 and 9.22).

::

    sorted rows ─┬─ every function needs only what came before ─► streams: values as the rows come
                 └─ otherwise ─► Partition (a list, past work_mem a file) ─► frames ─► values, a chunk of rows at a time

``streams``: running values. ``partition``: a partition's rows and its groups of peers. ``frames``: which rows each row
sees. ``functions`` and ``aggregates``: what is computed of them. The node is ``exec/nodes/window_agg.py``.
"""

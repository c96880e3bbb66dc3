"""What long statements use up and where they put it: memory accounts, temporary files, workers.

::

    instance ◄─ charge ─ Account (a statement) ◄─ Area (an operator: work_mem) ─ over? ─► TempFile (lz4, encrypted)

Nothing here knows SQL. Every stage above may use it.
"""

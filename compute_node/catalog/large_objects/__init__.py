"""Large objects (manual, chapter 35): rows of pg_largeobject, 2048 bytes each; owners in pg_largeobject_metadata.

``functions`` (lo_open, loread, lo_put …) → ``descriptors`` (what a transaction has open) → ``pages`` (reading and
writing the rows). ``objects`` creates and removes, and knows who may. Clients call the functions in SQL, or by the
protocol's FunctionCall message (``session/fastpath.py``), as libpq's lo_* do.

Invariants: a missing row, or what is missing of one, reads as zeros; whoever writes to an object holds its lock until
the transaction ends, so two writers never meet in a row.
"""

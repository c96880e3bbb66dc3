"""The wire: bytes of PostgreSQL's protocol 3 in → session calls → bytes out.

``startup`` and ``scram`` are sans-I/O machines for the time before the first query; ``messages`` makes and takes
apart messages; ``connection`` is the asyncio protocol that feeds a session and keeps its output in order behind the
durability gate; ``server`` listens, counts, cancels and shuts down. Only this package makes an ErrorResponse. Next
stage: ``compute_node.session``.
"""

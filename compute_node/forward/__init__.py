"""Write forwarding: a reader's session has the writer run the statements that write, in a session of its own there.

::

    reader's session ─ ReaderForwarding ─ Link ══ Forward ══ Forwarded ─ ForwardedConnection ─ session on the writer
                        statement, commit          stream      the stream as a connection

What travels is PostgreSQL's own protocol (``requests``, ``answers``), so the writer runs an ordinary session; beside it
go the beginning of a transaction, the settings that the reader's session has changed (``along``), and the writer's
position. Invariants: a request is answered before the next one is sent; the reader's transaction ends on the writer
first, and that outcome is its outcome. ``docs/architecture/write-forwarding.md``.
"""

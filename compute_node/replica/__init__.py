"""Reader instances: the writer's feed of its log, its application to a reader's page cache, and who is the writer.

::

    RedoLog.take ─► FeedCore ── Follow stream ─► ApplyCore ─► pages of the cache, catalog, locks ─► sessions
                       ▲                            │
                       └── applied LSN, row horizon ┘
"""

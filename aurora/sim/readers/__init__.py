"""The simulator of readers: a writer, its readers, promotions; ``docs/architecture/simulator.md``.

::

    Writer (compute half's Instance, FeedCore) ── Link ─► Reader (Replica, ApplyCore, PageCache, sessions)
         │                                                   │        └─ promotion ─► Writer
         └──────────── log ─► Nodes ◄──── page reads ────────┘
"""

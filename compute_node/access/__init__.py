"""Access methods: rows and keys → pages of the arena → redo.

``storage.Storage`` is the way in: it owns the page cache, the extent map and the commit log, and hands out
``table.Table`` and ``index.Index``. Next stage: the volume, which takes the log. Invariants: a page changes only
inside a mini-transaction; a kernel never waits, so a page miss is an answer, not a wait; a frame number is forgotten
at each wait.
"""

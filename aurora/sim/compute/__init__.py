"""The compute half under the simulator: transactions, locks, page cache, vacuum and extents against a serial oracle.

``loop`` (the hub's event loop on virtual time) and ``volume`` (a volume whose pages come late, whose log becomes
durable late and is cut off by crashes) → ``instance`` (one life of a writer: storage and sessions) → ``session``
(statements, each with what the oracle expects of it) → ``model`` (the oracle) and ``checks`` (the promises) →
``scenario`` (a seed's run). ``python -m aurora.sim --compute``. The code under test is production's, from ``Storage``
down; only the loop and the volume are the simulator's.
"""

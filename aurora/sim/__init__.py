"""Deterministic simulator: the protocol cores under a virtual clock, a bad network and failing nodes, from one seed.

``world`` (event queue, clock, network) → ``nodes`` (storage cores on simulated disks) and ``writers`` (recovery and
writer cores with a workload) → ``checks`` (what must hold whatever happens) → ``scenario`` (a seed's run). ``python
-m aurora.sim --seeds N`` runs many; a failure names its seed. The same seed gives the same trace, whatever
PYTHONHASHSEED is.
"""

"""The cluster's endpoints: addresses that lead new connections to the writer, to a reader, or to chosen instances.

::

    client ─► listener ─► Router.arrive ─► Give ─► link  ═ descriptor ═► instance on this machine
              (service)   (core, sans-I/O)       └► proxy ── bytes ────► instance elsewhere
    Describe of each instance (watch) ─► Router.heard
    names of AWS's shape (names, dns) ─► the same addresses

``python -m aurora.programs.endpoints`` runs it. Invariants: a connection to the cluster endpoint goes to the instance
that writes under the highest epoch known, else it waits; no connection is served by two instances; what waits, and what
is kept for a client that does not read, is bounded.
"""

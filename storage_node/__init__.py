"""A storage node: log batches in → pages at any LSN out. One process holds a segment of every protection group (PG).

The way of a batch::

    service ─ node.on_append ─ hot_log.append ─ sync ─ segment.add ─ ack with SCL   (the fast path, one sync a turn)
                                                          │
    gossip (what is missing comes from peers) ────────────┤
                                                          ▼ in small slices, off that path
                      segment index: page → records ─ coalesce ─ page_store ─ collect: log files deleted
    node.on_read: newest version at hand ≤ read point + the page's records up to the read point

``node.StorageNode`` and all below it are a sans-I/O core: disk, clock and random source are passed in, work for others
comes out as effects. ``service``, ``background`` and ``server`` run that core under gRPC.

Invariants: nothing is acknowledged before it is synced; no record above the VDL hint or the PGMRPL reaches the page
store; no log is deleted before the pages that took it in are synced; a void record never counts towards the SCL.
"""

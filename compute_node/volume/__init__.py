"""The volume client: redo runs in, six storage nodes out; page reads back.

``recovery`` finds where the log ends and fences the older writer, ``handshake`` meets each node, ``flusher`` decides
when the log leaves, ``writer_core`` what goes to which node and what is durable, ``fleet`` and ``monitor`` which nodes
there are, and ``messages`` how all that is said (sans-I/O, driven by gRPC here and by the simulator). ``driver``,
``streams`` and ``reads`` are the gRPC glue, and ``volume`` is the façade for the rest of the compute node. Next stage:
the storage nodes.

Invariants: nothing above the VDL is ever acknowledged; LSNs above a recovery's truncation range only; one epoch, one
writer.
"""

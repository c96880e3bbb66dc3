"""The volume client: redo runs in, six storage nodes out; page reads back.

``recovery`` finds where the log ends and fences the older writer, ``writer_core`` decides what goes to which node
and what is durable (both sans-I/O, driven by gRPC here and by the simulator), ``streams`` and ``reads`` are the gRPC
glue, and ``volume`` is the façade for the rest of the compute node. Next stage: the storage nodes.

Invariants: nothing above the VDL is ever acknowledged; LSNs above a recovery's truncation range only; one epoch, one
writer.
"""

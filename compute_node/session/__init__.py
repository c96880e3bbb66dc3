"""Sessions: protocol messages in → statements run through the SQL stages → messages out.

``session`` is the connection's SQL side with the hot path; ``extended`` and ``simple`` are the two query protocols;
``plans`` and ``lifting`` find or make the plan; ``results`` encodes rows; ``transactions`` holds the transaction
block; ``utility`` and the modules beside it run what is not a query. Runs in a greenlet of the hub. Next stage:
``compute_node.sql``.

Invariant: after each message the session is idle, in a block or in a failed block, and says so in ReadyForQuery.
"""

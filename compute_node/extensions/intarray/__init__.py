"""intarray: functions, queries and index classes of arrays of integers (manual, F.19).

``arrays``: functions and operators; ``queries``: the type ``query_int``; ``index_classes``: GIN and GiST.
"""

from compute_node.extensions.intarray import arrays, index_classes, queries

arrays.declare()
queries.declare()
index_classes.declare()

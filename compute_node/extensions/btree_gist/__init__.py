"""btree_gist: operator classes of GiST with a B-tree's operators, ``<>`` and distances (manual, F.9).

``distances``: what ``<->`` gives. ``index_classes``: keys are intervals of the bytes that a B-tree orders by.
"""

from compute_node.extensions.btree_gist import distances, index_classes

distances.declare()
index_classes.declare()

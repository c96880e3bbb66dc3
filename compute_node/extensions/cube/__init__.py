"""cube: points and boxes of up to 100 dimensions (manual, F.13).

``values``: the type; ``functions``: what is computed of cubes; ``index_classes``: GiST.
"""

from compute_node.extensions.cube import functions, index_classes, values

values.declare()
functions.declare()
index_classes.declare()

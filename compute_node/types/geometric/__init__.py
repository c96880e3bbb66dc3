"""point, lseg, line, box, path, polygon, circle (manual, 8.8 and 9.11).

``numbers.py``: arithmetic with PostgreSQL's checks, and comparisons that leave a millionth out of account.
``shapes.py``: what points, lines, segments and boxes are to each other. ``areas.py``: paths, polygons, circles.
``values.py``: text and binary forms, the types. ``functions.py`` and ``operators.py``: declarations.

Values are tuples of floats. None of the types has an order of B-trees or a hash: their ``=`` compares areas or lengths.
"""

from __future__ import annotations

import importlib

for _module in ("values", "functions", "operators"):
    importlib.import_module(f"{__name__}.{_module}")

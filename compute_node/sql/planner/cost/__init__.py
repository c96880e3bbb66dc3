"""What steps above the scans cost, in PostgreSQL's units, by its formulas (``costsize.c``): input costs, rows and
widths → (to the first row, to the last).

``parameters`` are the settings; ``sorting`` sorts and what keeps rows, ``joining`` the three kinds of joins and the
cache of a nested loop's inner side, ``grouping`` what makes one row of several. Functions take numbers and give
numbers: no path is made here.
"""

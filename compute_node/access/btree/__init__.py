"""The B-tree access method: ordered, unique, several columns.

``keys`` makes the codec of an index's columns, ``ranges`` turns scan keys into ranges of key bytes, ``index`` is the
``IndexAccess``, ``unique`` looks for conflicts, ``writer`` changes the structure of the tree, ``build`` fills a new
one.
The page layout and the search are a kernel (``aurora/kernels/python/btree.py``). Invariant: an item on a page is below
the page's high key; a page flagged incomplete has a right sibling that its parent does not know yet.
"""

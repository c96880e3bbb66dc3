"""The GiST and SP-GiST access methods: balanced trees of bounding keys.

``pages`` lays out the pages, ``forms`` is what a kind of key can do (boxes, intervals, signatures), ``keys`` puts the
columns of an index together, ``classes`` says which form an operator class has and what its conditions ask, ``tree``
descends, inserts and splits, ``nearest`` gives rows by distance, ``index`` is the ``IndexAccess``, ``build`` fills a
new one. An inner entry's key holds everything below it. A scan gives at least the rows that meet its keys; the executor
checks them again. Source: PostgreSQL, chapters 65 and 66; Kornacker, Mohan and Hellerstein, 1997.
"""

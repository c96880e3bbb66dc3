"""The GIN access method: values of many items (arrays, documents, jsonb), found by the items.

``classes`` takes items out of values and turns conditions into searches, ``search`` is what a condition asks of the
items, ``entries`` is the form of an entry, ``index`` is the ``IndexAccess``, ``build`` fills a new one. Entries are the
leaf items of a B-tree (``compute_node.access.btree``): a column, an item, and the addresses of some rows that have it.
A scan gives at least the rows that meet its keys; the executor checks them again. Source: PostgreSQL, chapter 67.
"""

"""The hash access method: equality of one column, found by a 32-bit hash of the value.

``values`` hashes a value by its type, ``pages`` lays out meta, map and bucket pages, ``writer`` changes the structure
(linear hashing: insert, overflow pages, splits), ``index`` is the ``IndexAccess``, ``build`` fills a new one. Only the
hash is stored, so a scan is lossy and the executor checks the condition. Invariant: an entry is in its bucket's chain,
or, while that bucket is being populated, in the chain of the bucket that it is split from.
"""

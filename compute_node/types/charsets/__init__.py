"""Character sets of clients: bytes ↔ text, to the character as PostgreSQL 15 converts them (manual, 24.3).

``names`` knows the sets and their spellings, ``charset`` converts. The single-byte sets are Python's codecs; of the
others Python's differ from PostgreSQL's in some characters, which ``tables.json``, recorded from it, names. EUC_TW,
which Python lacks, is there whole.
"""

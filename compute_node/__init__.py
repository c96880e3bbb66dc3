"""A compute instance: PostgreSQL's protocol in front, a volume on six storage nodes behind; it keeps no data itself.

The folders are the stages of a statement's way: ``wire``, ``session``, ``sql``, ``exec`` with ``types``, ``access``
with ``txn``, ``volume``; ``catalog`` says what there is, ``hub`` lets synchronous code wait, ``engine`` and ``server``
put the stages together. Never imports ``storage_node``.
"""

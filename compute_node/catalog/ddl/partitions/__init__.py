"""Declarative partitioning: PARTITION BY, PARTITION OF, ATTACH and DETACH (PostgreSQL manual, ch. 5.11).

``key`` makes the row of pg_partitioned_table, ``bounds`` a partition's bound, ``contents`` looks at rows that are there
already, ``create`` and ``attach`` put a table into another's partitions and take it out, ``indexes`` keeps the indexes
of a partitioned table and of its partitions together. Invariant: the descriptor of a partitioned table is replaced when
its partitions change, so that all who were told of it plan again.
"""

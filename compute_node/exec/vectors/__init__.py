"""Execution over column batches: the second way under one plan tree, for many rows.

A node that can work by columns says so (``Node.has_columns``) and gives ``ColumnBatch``es; one that cannot gets the
same rows as tuples. What is computed here never fails: where a value does not fit a column's form, where an operator
would raise an error or is not known, ``Unsuited`` is raised before anything has changed, and the row-wise code does
that batch, with its answer or its error. Only sums of floats raise their 22003 themselves: it is found in the middle.

| module | holds |
| --- | --- |
| ``vector`` | columns and batches |
| ``operators`` | the functions that work on columns |
| ``expressions`` | expressions to functions of a batch |
| ``keys`` | columns to numbers of groups |
| ``scan`` | what a scan reads, filters and gives |
| ``project`` | conditions and output over batches |
| ``files`` | batches in temporary files, by a hash of their keys |
| ``states`` | aggregates over groups |
| ``aggregate`` | one run of an aggregation |
| ``distinct`` | the first row of each key |
| ``join`` | hash joins |
| ``lookup`` | nested loops over an index scan |
| ``sort`` | ranks, the first rows, all rows in order |
| ``window`` | window functions over whole partitions |
"""

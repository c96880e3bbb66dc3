"""What a relation is to every stage: its descriptor, its columns' storage forms, and the system catalogs' own layout.

Frozen data, made by ``compute_node.catalog`` from catalog rows and read by analysis, access methods and execution.
Imports types alone.
"""

"""CREATE, ALTER and DROP of functions, procedures and aggregates.

``parameters`` and ``attributes`` read what a statement says, ``bodies`` what a function in SQL does, ``create`` and
``aggregates`` write it into the catalog, ``alter`` changes it. Source: PostgreSQL manual, ch. 38.3–38.5, 38.12.
"""

"""Text search (manual, chapter 12, 8.11 and 9.13).

``scan`` reads lexemes; ``vector`` and ``query`` are the types tsvector and tsquery, ``vector_functions`` and
``query_functions`` what is done with each alone; ``match`` and ``rank`` bring the two together. Texts become lexemes by
``tokens`` (the parser) and ``configurations`` (dictionaries) in ``documents`` and ``query_texts``.
"""

from __future__ import annotations

import importlib

for _module in (
    "vector",
    "query",
    "vector_functions",
    "query_functions",
    "match",
    "rank",
    "documents",
    "query_texts",
    "rewrite",
    "headline",
):
    importlib.import_module(f"{__name__}.{_module}")

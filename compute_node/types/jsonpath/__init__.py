"""jsonpath: the type, and the functions that look into jsonb with it (manual, 8.14.7 and 9.16.2).

text → ``lexer`` → ``parser`` → ``tree`` → ``output`` (canonical text), ``executor`` (items of a document).
``functions`` is what SQL calls. Lexer, parser and executor are imported when a first path is read.
"""

from __future__ import annotations

from compute_node.types.jsonpath import functions, value
from compute_node.types.jsonpath.tree import JsonPath

__all__ = ["JsonPath", "functions", "value"]

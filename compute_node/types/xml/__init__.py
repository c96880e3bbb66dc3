"""xml (manual, 8.13 and 9.15): a str, the text as it was given.

``value`` is the type; ``declaration`` and ``names`` read and write what stands around a value; ``publish`` makes values
(XMLELEMENT …), ``mapping`` writes SQL values as XML. ``libxml`` is the one door to the parser, imported when a value is
first parsed, since starting a server must not wait for it; ``xpath`` and ``table`` ask it for parts of a document.
``documents`` and ``schemas`` map tables and queries.
"""

from __future__ import annotations

import importlib

for _module in ("value", "publish", "xpath", "table", "documents"):
    importlib.import_module(f"{__name__}.{_module}")

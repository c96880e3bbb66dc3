"""to_char, to_date, to_timestamp, to_number (manual, 9.8): a template → its pieces, parsed once → text or value.

``template.py`` takes templates apart. Dates and times: ``moment_template.py``, ``moment_out.py``, ``moment_in.py``.
Numbers: ``number_template.py``, ``number_out.py``, ``number_in.py``. ``parse_datetime`` is what jsonpath's
``datetime(template)`` needs.
"""

from __future__ import annotations

import importlib

from compute_node.types.formatting.moment_in import DatetimeValue, parse_datetime

__all__ = ["DatetimeValue", "parse_datetime"]

for _module in ("moment_out", "moment_in", "number_out", "number_in"):
    importlib.import_module(f"{__name__}.{_module}")

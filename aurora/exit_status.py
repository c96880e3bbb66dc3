"""What an instance and who starts it again tell each other: exit statuses, and the flag of one that is held ready.

Statuses 0, 1 and 2 mean what they mean of any program.
"""

from __future__ import annotations

from typing import Final

FENCED: Final = 3
"""Another writer has taken over the volume: started again as a writer, it would fence that one."""
BROKEN: Final = 4
"""Background work met a defect: start it again."""
UNBEGUN: Final = 6
"""Held until somebody wants it to begin, and nobody did."""
TOO_NEW: Final = 5
"""A newer program has had the volume open: this one must not."""
HELD: Final = "--held"
"""The flag: do the imports, and begin when a line comes on the standard input: the arguments, as a JSON list."""

"""What an instance's exit status says to who starts it again. 0, 1 and 2 mean what they mean of any program."""

from __future__ import annotations

from typing import Final

FENCED: Final = 3
"""Another writer has taken over the volume: started again, it would fence that one."""
BROKEN: Final = 4
"""Background work met a defect: start it again."""
TOO_NEW: Final = 5
"""A newer program has had the volume open: this one must not."""

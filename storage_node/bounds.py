"""Ranges of numbers that come over the network, looked at before a number is believed and kept.

A number that is only ever raised, and that everybody then has to exceed, must not be driven to its end by one message.
"""

from __future__ import annotations

from typing import Final

EPOCH_STEP_MAX: Final = 1 << 32
"""How far above the epoch that a node holds the next one may be; writers step by one."""
EPOCH_MAX: Final = 1 << 62
LSN_MAX: Final = 1 << 62
"""Four exbibytes of log."""


class Refused(Exception):
    """The request is stale, names another volume, comes before there is one, or holds a number out of range."""


def check_epoch(epoch: int, held: int) -> None:
    """Refused for a volume epoch too far above the one that is held."""
    if epoch > held + EPOCH_STEP_MAX or epoch > EPOCH_MAX:
        raise Refused(f"epoch {epoch} is out of range: the node has adopted {held}")


def check_lsn(lsn: int) -> None:
    """Refused for an LSN that no log reaches."""
    if lsn > LSN_MAX:
        raise Refused(f"LSN {lsn} is out of range")

"""What goes wrong for a writer, one class each; the storage half's faults are in ``aurora/sim/faults.py``."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from aurora.sim.compute.scenario import Scenario


class Fault:
    """What goes wrong. ``strike`` says whether it did something."""

    name: ClassVar[str]
    weight: ClassVar[float] = 1.0

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.rng: random.Random = scenario.world.stream(f"fault {self.name}")

    def strike(self) -> bool:
        """Do it now."""
        raise NotImplementedError

    def heal(self) -> None:
        """The storm is over."""


class Crash(Fault):
    """SIGKILL of the writer; any part of the log above the VDL is lost, and another writer opens the rest."""

    name = "crash"
    weight = 0.5

    def strike(self) -> bool:
        self.scenario.crash()
        return True


class Cancel(Fault):
    """A cancel request for some sessions, whatever they are doing."""

    name = "cancel"
    weight = 4.0

    def strike(self) -> bool:
        sessions = self.scenario.instance.sessions
        for session in self.rng.sample(sessions, self.rng.randint(1, len(sessions))):
            session.cancel()
        return True


class SlowLog(Fault):
    """The log becomes durable much later for a while."""

    name = "slow-log"

    def strike(self) -> bool:
        self.scenario.instance.volume.slow_log = self.rng.choice((1.0, 5.0, 20.0))
        return True

    def heal(self) -> None:
        self.scenario.instance.volume.slow_log = 1.0


class SlowPages(Fault):
    """Pages come much later for a while."""

    name = "slow-pages"

    def strike(self) -> bool:
        self.scenario.instance.volume.slow_pages = self.rng.choice((1.0, 5.0, 30.0))
        return True

    def heal(self) -> None:
        self.scenario.instance.volume.slow_pages = 1.0


FAULTS: Final[dict[str, type[Fault]]] = {kind.name: kind for kind in (Crash, Cancel, SlowLog, SlowPages)}

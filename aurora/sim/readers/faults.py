"""What goes wrong for a writer and its readers, one class each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from aurora.errors import QueryCanceled
from aurora.sim.compute import faults as compute
from aurora.sim.readers.process import Process

if TYPE_CHECKING:
    from aurora.sim.readers.reader import Reader
    from aurora.sim.readers.scenario import Scenario
    from aurora.sim.readers.writer import Writer


WATCH_S: Final = 0.002
WATCHES_MAX: Final = 100


class Fault(compute.Fault):
    """What goes wrong where there are readers."""

    scenario: Scenario

    def some_reader(self) -> Reader | None:
        """One that is open."""
        ready = [each for each in self.scenario.readers if each.opened and not each.promoting]
        return self.rng.choice(ready) if ready else None

    def stop(self, process: Process, longest_s: float) -> bool:
        """SIGSTOP for a while."""
        if process.stands_still or process.dead:
            return False
        world = self.scenario.world
        world.stop(process.name)
        world.after(self.rng.random() * longest_s, lambda: world.go_on(process.name) if not process.dead else None)
        return True


class KillWriter(Fault):
    """SIGKILL of the writer: a reader takes over."""

    name = "kill-writer"

    def strike(self) -> bool:
        if not self.scenario.serving:
            return False
        self.scenario.ended(self.scenario.instance, "killed")
        return True


class PauseWriter(Fault):
    """The writer stands still. It wakes up before anybody has noticed, or beside the next one."""

    name = "pause-writer"

    def strike(self) -> bool:
        scenario = self.scenario
        if not scenario.serving or not self.stop(scenario.instance.process, 0.3):
            return False
        if self.rng.random() < 0.7:
            scenario.elect(self.rng.random() * 0.1)
        return True


class SecondWriter(Fault):
    """A reader takes over while the writer is well, and goes on."""

    name = "second-writer"

    def strike(self) -> bool:
        reader = self.some_reader()
        if reader is None or not self.scenario.serving:
            return False
        reader.promote()
        return True


class BothPromote(Fault):
    """Two readers take over at once."""

    name = "both-promote"

    def strike(self) -> bool:
        scenario = self.scenario
        ready = [each for each in scenario.readers if each.shows]
        if len(ready) < 2:
            return False
        for reader in self.rng.sample(ready, 2):
            delay_s = self.rng.choice((0.0, 0.002, 0.02)) * self.rng.random()
            scenario.world.after(delay_s, partial(self._promote, reader))
        if self.rng.random() < 0.5 and scenario.serving:
            scenario.ended(scenario.instance, "killed")
        return True

    def _promote(self, reader: Reader) -> None:
        if not self.scenario.calm:
            reader.promote()


class OldWriter(Fault):
    """The writer stands still, a reader takes over, and is away in its turn as soon as others follow it. When the old
    one wakes up beside them it does not know yet that it is over."""

    name = "old-writer"
    weight = 0.5

    def strike(self) -> bool:
        scenario = self.scenario
        if not scenario.serving or scenario.instance.process.stands_still or self.some_reader() is None:
            return False
        old = scenario.instance
        scenario.world.stop(old.process.name)
        scenario.elect(0.0)
        self._followed(old, WATCHES_MAX)
        return True

    def _followed(self, old: Writer, left: int) -> None:
        """Wait until somebody follows the next writer, for a while."""
        scenario, new = self.scenario, self.scenario.instance
        links = [reader.link for reader in scenario.readers if reader.link is not None and reader.link.settled]
        followers = [link for link in links if link.writer is new and not link.is_cut]
        if new is not old and scenario.serving and followers:
            self.stop(new.process, 0.2)
            for link in followers:
                link.cut()
            scenario.world.after(self.rng.random() * 0.06, lambda: self._wakes_up(old))
        elif left and not scenario.calm:
            scenario.world.after(WATCH_S, lambda: self._followed(old, left - 1))
        else:
            self._wakes_up(old)

    def _wakes_up(self, old: Writer) -> None:
        if not old.dead:
            self.scenario.world.go_on(old.process.name)


class CutStream(Fault):
    """A reader's stream breaks."""

    name = "cut-stream"
    weight = 2.0

    def strike(self) -> bool:
        reader = self.some_reader()
        if reader is None or reader.link is None:
            return False
        reader.link.cut()
        return True


class SlowStream(Fault):
    """A reader's stream is slow for a while: a backlog grows."""

    name = "slow-stream"
    weight = 2.0

    def strike(self) -> bool:
        reader = self.some_reader()
        if reader is None or reader.link is None:
            return False
        reader.link.slow = self.rng.choice((1.0, 5.0, 40.0))
        return True

    def heal(self) -> None:
        for reader in self.scenario.readers:
            if reader.link is not None:
                reader.link.slow = 1.0


class PauseReader(Fault):
    """A reader stands still, maybe for longer than the writer has patience."""

    name = "pause-reader"
    weight = 2.0

    def strike(self) -> bool:
        reader = self.some_reader()
        return reader is not None and self.stop(reader.process, 2 * self.scenario.knobs.silent_s)


class KillReader(Fault):
    """SIGKILL of a reader; it comes back with nothing in its cache."""

    name = "kill-reader"

    def strike(self) -> bool:
        reader = self.some_reader()
        if reader is None:
            return False
        self.scenario.gone(reader)
        return True


class Cancel(Fault):
    """A cancel request for some of the writer's sessions."""

    name = "cancel"
    weight = 2.0

    def strike(self) -> bool:
        instance = self.scenario.instance
        if not self.scenario.serving or instance.process.stands_still:
            return False
        for session in self.rng.sample(instance.sessions, self.rng.randint(0, len(instance.sessions))):
            session.cancel()
        return True


class CancelReader(Fault):
    """A cancel request for some of a reader's sessions."""

    name = "cancel-reader"
    weight = 2.0

    def strike(self) -> bool:
        reader = self.some_reader()
        if reader is None or reader.process.stands_still:
            return False
        error = QueryCanceled("canceling statement due to user request")
        with reader.process:
            for session in reader.sessions:
                if session.active and self.rng.random() < 0.7:
                    reader.stop_session(session, error)
        return True


class SlowPages(Fault):
    """A reader's pages come much later for a while."""

    name = "slow-pages"

    def strike(self) -> bool:
        reader = self.some_reader()
        if reader is None:
            return False
        reader.volume.slow_pages = self.rng.choice((1.0, 5.0, 30.0))
        return True

    def heal(self) -> None:
        for reader in self.scenario.readers:
            if reader.opened:
                reader.volume.slow_pages = 1.0


FAULTS: Final[dict[str, type[compute.Fault]]] = {
    kind.name: kind
    for kind in (
        KillWriter, PauseWriter, SecondWriter, BothPromote, OldWriter, CutStream, SlowStream, PauseReader, KillReader,
        Cancel, CancelReader, compute.SlowLog, SlowPages,
    )
}  # fmt: skip

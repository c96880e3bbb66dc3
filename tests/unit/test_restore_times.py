"""A restore to a time goes by the writer's commits, whatever the nodes' clocks say."""

from __future__ import annotations

import pytest
from backup_tools import BackupFleet
from storage_tools import VOLUME

from aurora import notes
from aurora.kernels import redo
from aurora.kernels.python.redo import NO_PAGE
from storage_node.restore import resolve
from storage_node.restore_plan import RestoreError, Survey, time_text
from storage_node.restore_times import UNIX_EPOCH_MS

NOON_US = 850_000_000_000_000
NOON_MS = NOON_US // 1000 - UNIX_EPOCH_MS


class Commits:
    """A fleet, and a writer that commits at times of its own."""

    def __init__(self, seed: int = 1) -> None:
        self.fleet = BackupFleet(seed)
        self.lsns: dict[int, int] = {}

    def commit(self, seconds: int) -> None:
        """A commit at noon and so many seconds: its note, then a page that it changes."""
        note = notes.encode_end(notes.COMMIT, 100 + len(self.lsns), [], NOON_US + seconds * 1_000_000)
        self.lsns[seconds] = self.fleet.writer.log.append(NO_PAGE, 0, note, redo.FLAG_NOTE)
        self.fleet.write(4, 4)
        self.fleet.point()
        self.fleet.settle(2)

    def survey(self) -> Survey:
        """What the store holds once all is staged."""
        self.fleet.point()
        self.fleet.settle(40)
        return Survey(self.fleet.store, VOLUME)


def at(survey: Survey, seconds: float) -> int:
    return survey.at_time(NOON_MS + int(seconds * 1000))


def test_a_time_has_the_commits_up_to_it_and_none_after() -> None:
    commits = Commits()
    for seconds in range(0, 120, 3):
        commits.commit(seconds)
    survey = commits.survey()
    assert len(survey.pgs[0].logs) > 3, "bisection has nothing to do"
    for seconds in range(0, 117, 3):
        for later in (0.0, 1.5, 2.999):
            assert at(survey, seconds + later) == commits.lsns[seconds + 3] - 1
        plan = survey.plan(at(survey, seconds))
        assert commits.lsns[seconds] < plan.lsn < commits.lsns[seconds + 3]
        assert plan.wall_ms == NOON_MS + seconds * 1000
    assert at(survey, 117) == at(survey, 10_000) == survey.ranges()[-1][1]


def test_before_the_first_commit_there_is_nothing() -> None:
    commits = Commits()
    for seconds in range(3):
        commits.commit(seconds)
    with pytest.raises(RestoreError, match="begins after"):
        at(commits.survey(), -0.001)


def test_a_nodes_wrong_clock_changes_nothing() -> None:
    commits = Commits()
    for seconds in range(0, 30, 3):
        commits.commit(seconds)
    survey = commits.survey()
    found = at(survey, 13)
    survey.moments = [moment._replace(wall_ms=moment.wall_ms + 365 * 86_400_000) for moment in survey.moments]
    assert at(survey, 13) == found == commits.lsns[15] - 1
    assert resolve(survey, time_text(NOON_MS + 13_000)) == found


def test_a_writers_clock_that_was_set_back_gives_one_of_the_places() -> None:
    commits = Commits()
    for seconds in (0, 10, 20, 30, 12, 22, 32, 42):
        commits.commit(seconds)
    survey = commits.survey()
    assert at(survey, 15) in (commits.lsns[20] - 1, commits.lsns[22] - 1)


def test_log_that_cannot_be_read_counts_as_later() -> None:
    commits = Commits()
    for seconds in range(0, 60, 3):
        commits.commit(seconds)
    survey = commits.survey()
    asked = at(survey, 40)
    log = next(log for log in survey.pgs[0].logs if log.prev_lsn < asked <= log.last_lsn)
    for name in [each.name for each in survey.pgs[0].logs if each.last_lsn > log.prev_lsn]:
        commits.fleet.store.put(name, b"damaged")
    assert at(commits.survey(), 40) <= log.prev_lsn

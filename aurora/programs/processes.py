"""The processes of one cluster on this machine: started, watched, ended; what became of them is kept in files.

::

    DIR/run/ID.json   the running one (pid and start time, so that a reused pid is not mistaken for ours), whether it is
                      wanted, how often it was started again and what ended it before
    DIR/run/ID.exit   "PID STATUS" of the last one that ended
    DIR/log/ID.log    what they print

Each process runs under a shell that waits for it and notes its exit status: a verb that starts a process does not live
as long as the process, and nobody but a parent learns how it ended. Invariant: a process runs only after its run file
stands. Files are written by whoever holds the cluster's lock (``supervisor``).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final

from aurora import exit_status

FOLDER_MODE, FILE_MODE = 0o700, 0o600

SHELL: Final = (
    "/bin/sh",
    "-c",
    'exec 4<&0; (read -r go <&4 && exec "$@" </dev/null >&2 4<&-) & child=$!; echo $child; '
    'exec >&2 4<&- </dev/null; wait $child; status=$?; umask 077; echo "$child $status" >"$0"',
)
"""Waits for the command behind it and writes ``PID STATUS`` to the file named first. The command begins when a line is
on the input and ends unbegun when the input ends before, as when the verb that starts it is killed: no process runs
that no run file names.
"""
HOLDING_SHELL: Final = (
    "/bin/sh",
    "-c",
    'exec 4<&0; (exec "$@" <&4 >&2 4<&-) & child=$!; echo $child; '
    f"exec >&2 4<&- </dev/null; wait $child; status=$?; umask 077; "
    f'test $status = {exit_status.UNBEGUN} || echo "$child $status" >"$0"',
)
"""The same for a command that starts at once and itself waits for the line, which has its arguments: all it does before
is its imports."""
SIGNALLED = 128
"""A shell's exit status of a process that a signal ended: this and the signal's number."""


@dataclass(slots=True)
class Run:
    """What ``run/ID.json`` holds. ``wanted``: nobody has stopped it on purpose. ``restarts`` counts since a verb
    started it; ``last_end`` says what ended the one before, at ``ended_at`` (s since 1970)."""

    pid: int = 0
    start: str | None = None
    shell: int = 0
    wanted: bool = False
    restarts: int = 0
    last_end: str = ""
    ended_at: float = 0.0


@dataclass(slots=True)
class Held:
    """A process that waits to be told its arguments, and to begin."""

    module: str
    pid: int
    start: str | None
    shell: subprocess.Popen[bytes]
    opener: IO[bytes]

    def begin(self, arguments: list[str]) -> bool:
        """Whether it is there, is of the module that is wanted, and begins; else it ends."""
        usable = self.module == arguments[0] and self.start is not None and process_start(self.pid) == self.start
        with self.opener:
            try:
                if usable:
                    self.opener.write(json.dumps(arguments[1:]).encode() + b"\n")
            except BrokenPipeError:
                return False
        return usable


@dataclass(slots=True)
class Processes:
    """The processes whose files are below ``data``."""

    data: Path
    _shells: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    """The shells that this process itself has started, by pid, to be reaped."""
    _held: dict[str, Held] = field(default_factory=dict)

    def _run_path(self, process_id: str) -> Path:
        return self.data / "run" / f"{process_id}.json"

    def run(self, process_id: str) -> Run:
        """What is known of a process; a file that a crash of the machine left empty tells nothing."""
        try:
            return Run(**json.loads(self._run_path(process_id).read_text()))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):
            return Run()

    def write(self, process_id: str, run: Run) -> None:
        """Keep what is known of a process."""
        (self.data / "run").mkdir(mode=FOLDER_MODE, exist_ok=True)
        atomic(self._run_path(process_id), json.dumps(asdict(run)))

    def want(self, process_id: str, wanted: bool) -> None:
        """Note whether somebody wants it to run."""
        run = self.run(process_id)
        if run.wanted != wanted and run.pid:
            run.wanted = wanted
            self.write(process_id, run)

    def pid(self, process_id: str) -> int | None:
        """The pid of a running process of ours."""
        self._reap()
        run = self.run(process_id)
        return run.pid if run.start is not None and process_start(run.pid) == run.start else None

    def _reap(self) -> None:
        for pid, shell in list(self._shells.items()):
            if shell.poll() is not None:
                del self._shells[pid]

    def spawn(self, process_id: str, arguments: list[str], before: Run | None = None) -> Run:
        """Start ``python -m ARGUMENTS``, or let the held one begin. ``before`` carries on the count of restarts."""
        held = self._held.pop(process_id, None)
        if held is not None:
            run = self._note(process_id, held.pid, held.shell.pid, before)
            if held.begin(arguments):
                return run
        pid, shell, opener = self._launch(process_id, SHELL, arguments)
        with opener:
            run = self._note(process_id, pid, shell.pid, before)
            with contextlib.suppress(BrokenPipeError):  # it has gone already: whoever waits for it sees that
                opener.write(b"go\n")
        return run

    def hold(self, process_id: str, module: str) -> None:
        """Have a process of ``module`` ready to begin when ``spawn`` is told to start it, with the arguments that it
        has then."""
        held = self._held.get(process_id)
        if held is not None and held.module == module and process_start(held.pid) == held.start:
            return
        self.let_go(process_id)
        pid, shell, opener = self._launch(
            process_id, HOLDING_SHELL, [module, exit_status.HELD, str(self.data), process_id]
        )
        self._held[process_id] = Held(module, pid, process_start(pid), shell, opener)

    def let_go(self, process_id: str) -> None:
        """End the held process, if there is one."""
        held = self._held.pop(process_id, None)
        if held is not None:
            held.opener.close()

    def _note(self, process_id: str, pid: int, shell: int, before: Run | None) -> Run:
        run = before or Run()
        run.pid, run.start, run.shell, run.wanted = pid, process_start(pid), shell, True
        self.write(process_id, run)
        return run

    def _launch(
        self, process_id: str, shell_command: tuple[str, ...], arguments: list[str]
    ) -> tuple[int, subprocess.Popen[bytes], IO[bytes]]:
        """The pid of a command that waits for a line, its shell, and where to write the line."""
        for folder in ("run", "log"):
            (self.data / folder).mkdir(mode=FOLDER_MODE, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        log = os.open(self.data / "log" / f"{process_id}.log", flags, FILE_MODE)
        gate, key = os.pipe()
        opener = open(key, "wb", buffering=0)  # noqa: SIM115 - the caller's
        with open(log, "ab") as output, open(gate, "rb") as closed:
            shell = subprocess.Popen(
                [*shell_command, str(self._exit_path(process_id)), sys.executable, "-m", *arguments],
                stdin=closed,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
            if shell.stdout is None:
                raise OSError("no pipe to the shell")
            with shell.stdout as told:
                pid = int(told.readline())
        self._shells[shell.pid] = shell
        return pid, shell, opener

    def _exit_path(self, process_id: str) -> Path:
        return self.data / "run" / f"{process_id}.exit"

    def exit_status(self, process_id: str) -> int | None:
        """The shell's exit status of the last run (128 + signal); None while it runs, or when nobody has noted it."""
        try:
            pid, status = self._exit_path(process_id).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(status) if int(pid) == self.run(process_id).pid else None

    def is_being_noted(self, process_id: str) -> bool:
        """Whether the process is gone and its shell not yet."""
        run = self.run(process_id)
        return self.pid(process_id) is None and bool(run.shell) and process_start(run.shell) is not None

    def signal(self, process_id: str, number: signal.Signals) -> bool:
        """Send a signal to a process of ours; False when it does not run."""
        pid = self.pid(process_id)
        if pid is None:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait_gone(self, process_id: str, timeout_s: float = 30.0) -> bool:
        """Wait until the process has ended, and its shell if it is a child of ours."""
        deadline = time.monotonic() + timeout_s
        while self.pid(process_id) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        shell = self._shells.pop(self.run(process_id).shell, None)
        if shell is not None:
            shell.wait()
        return True

    def log_tail(self, process_id: str, lines: int = 15) -> str:
        """The end of a process's log."""
        path = self.data / "log" / f"{process_id}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"


def atomic(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_suffix(".tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "w") as file:
        file.write(text)
    os.replace(temporary, path)


def end_text(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "ended, nobody knows how"
    if status > SIGNALLED:
        try:
            return f"killed by {signal.Signals(status - SIGNALLED).name}"
        except ValueError:
            return f"killed by signal {status - SIGNALLED}"
    return f"exit status {status}{': another instance writes' if status == exit_status.FENCED else ''}"


def process_start(pid: int) -> str | None:
    """A token for the process's start time; None when there is no such process (a zombie counts as none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return None
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return shown.stdout.strip() or None
    except ProcessLookupError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]

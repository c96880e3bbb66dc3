"""What COPY reads from and writes to on the instance's machine: a file, or a program's pipe.

``read`` and ``write`` wait as a session waits, so a cancel or timeout ends them: a plain file is read in a thread; a
pipe, which may have nothing to say for hours, is asked for when the event loop says that it is ready. ``finish`` is
the good end, ``leave`` any end. Only roles that may have anything of the machine get here.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock, Thread
from typing import Final, Protocol

from aurora.errors import ExternalRoutineException, InvalidName, InvariantViolation, SqlError, WrongObjectType
from compute_node.hub import HUB, Waiter
from compute_node.work import instance_folder
from compute_node.work.server_files import ServerFile, failed
from compute_node.work.workers import run_in_thread

PIECE_BYTES: Final = 1 << 16
_RETRY_S: Final = 0.05
"""between two tries of what the system tells nobody about: that a pipe has a reader, that a terminal has a line"""
_SHELL: Final = "/bin/sh"
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_PIPE_BROKEN: Final = (-signal.SIGPIPE, 128 + signal.SIGPIPE)
"""how a program ends that wrote what nobody wanted any more, and a shell whose program did"""
_STANDARD_ERROR: Final = 2
_OWN_VARIABLES: Final = "AURORA_"
"""of the environment: the instance's configuration, which is nothing for programs"""
_KEPT_BYTES: Final = 4096
"""of what is written to a program, as PostgreSQL's stream keeps them: one that ends well without reading its input may
do so if that is short"""


class Stream(Protocol):
    """One file or program."""

    size: int
    """of a file that is read, in bytes; 0: it is not known"""

    def open(self) -> None:
        """Open it, or start it."""

    def read(self) -> bytes:
        """The next bytes, none at the end."""

    def write(self, data: bytes) -> None:
        """All of the bytes."""

    def finish(self, at_end: bool = True) -> None:
        """Everything is read (``at_end``: to the end of what there is) or written. Raises what was wrong with it."""

    def leave(self) -> None:
        """Whatever happened: it is not used any more."""


def _when_ready(number: int, to_read: bool) -> None:
    """Wait until a pipe can be read from or written to, or its other end is closed."""
    loop, waiter = HUB.loop, Waiter()

    def ready() -> None:
        if not waiter.done:
            waiter.wake()

    watch, forget = (loop.add_reader, loop.remove_reader) if to_read else (loop.add_writer, loop.remove_writer)
    watch(number, ready)
    try:
        HUB.wait(waiter)
    finally:
        forget(number)


def _piped_read(number: int) -> bytes:
    while True:
        _when_ready(number, True)
        with suppress(BlockingIOError):
            return os.read(number, PIECE_BYTES)


def _piped_write(number: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(number, left) :]
        except BlockingIOError:
            _when_ready(number, False)


class CopyFile(ServerFile):
    """A file by its name; pipes with a name and devices too."""

    _is_pipe = False
    size = 0

    def open(self) -> None:
        """58P01, 42501, 42809, 42602 for a file to write whose name is relative."""
        if not self._to_read and not os.path.isabs(self._name):
            raise InvalidName("relative path not allowed for COPY to file")
        while True:
            try:
                return run_in_thread(self._while_used, self._open)
            except OSError as error:
                if error.errno != errno.ENXIO or self._to_read:
                    raise self._not_opened(error) from None
            HUB.sleep(_RETRY_S)  # a pipe that nobody reads from yet

    def _not_opened(self, error: OSError) -> SqlError:
        found = failed(f'open file "{self._name}" for {"reading" if self._to_read else "writing"}', error)
        if error.errno in (errno.ENOENT, errno.EACCES):
            way, verb = ("FROM", "read") if self._to_read else ("TO", "write")
            found.hint = (
                f"COPY {way} instructs the PostgreSQL server process to {verb} a file. You may want a client-side "
                "facility such as psql's \\copy."
            )
        return found

    def _open(self) -> None:
        how = os.O_RDONLY if self._to_read else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        name = instance_folder.resolved(self._name)
        number = os.open(name, how | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
        status = os.fstat(number)
        mode = status.st_mode
        self.size = status.st_size if self._to_read else 0
        if stat.S_ISDIR(mode):
            os.close(number)
            raise WrongObjectType(f'"{self._name}" is a directory')
        self._file = io.FileIO(number, "r" if self._to_read else "w")
        self._is_pipe = stat.S_ISFIFO(mode)

    def _failed(self, what: str, error: OSError) -> SqlError:
        if what == "close":
            return failed(f'close file "{self._name}"', error)
        return failed("read from COPY file" if what == "read" else "write to COPY file", error)

    def read(self, count: int = PIECE_BYTES) -> bytes:
        """The next bytes, none at the end."""
        while not self._is_pipe:
            found = self._run(lambda: self._opened.read(count), "read")
            if found is not None:
                return found
            HUB.sleep(_RETRY_S)
        try:
            return _piped_read(self._opened.fileno())
        except OSError as error:
            raise self._failed("read", error) from None

    def write(self, data: bytes) -> None:
        """All of the bytes."""
        if self._is_pipe:
            try:
                _piped_write(self._opened.fileno(), data)
            except OSError as error:
                raise self._failed("write", error) from None
            return
        while data:
            written = self._run(partial(self._opened.write, data), "write")
            if written is None:
                HUB.sleep(_RETRY_S)
            data = data[written or 0 :]

    def finish(self, at_end: bool = True) -> None:
        """Close it."""
        super().finish()


class Program:
    """A command line that the shell runs. What it says on its standard error, and where it is written to on its
    standard output, goes to the instance's standard error. It runs in the instance's folder, and in a session of its
    own: signals that are meant for the instance do not reach it."""

    size = 0

    def __init__(self, command: str, to_read: bool) -> None:
        self._command, self._to_read = command, to_read
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = Waiter()
        self._number = -1
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._guard = Lock()
        """around its start, its end and what is done about it"""
        self._is_finished = self._has_ended = self._is_left = False
        """``finish`` has seen its end; its shell has ended; the session has done with it"""

    def open(self) -> None:
        """Start it."""
        loop, ended = HUB.loop, self._ended

        def tell(code: int) -> None:
            with suppress(RuntimeError):  # the loop is closed: the instance ends, and nobody waits
                loop.call_soon_threadsafe(ended.wake, code)

        try:
            run_in_thread(self._start, tell)
        except OSError as error:
            raise failed(f'execute command "{self._command}"', error) from None

    def _start(self, tell: Callable[[int], None]) -> None:
        inside, outside = (subprocess.DEVNULL, subprocess.PIPE) if self._to_read else (subprocess.PIPE, _STANDARD_ERROR)
        process = subprocess.Popen(
            [_SHELL, "-c", self._command],
            stdin=inside,
            stdout=outside,
            bufsize=0,
            start_new_session=True,
            cwd=instance_folder.made(),
            env={name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)},
        )
        pipe = process.stdout if self._to_read else process.stdin
        if pipe is None:
            raise InvariantViolation("a program was started without a pipe")
        os.set_blocking(pipe.fileno(), False)
        with self._guard:
            self._process, self._number = process, pipe.fileno()
            if self._is_left:  # the session was cancelled meanwhile
                self._let_go(process)
        Thread(target=self._watch, args=(process, tell), name="copy program", daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes], tell: Callable[[int], None]) -> None:
        """Tell of the shell's end. The system keeps its number, which is the group's too, until the session has left
        it: a signal can meet nobody else."""
        found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        if found is None:
            raise InvariantViolation("a program's end was waited for, and has not come")
        with self._guard:
            self._has_ended = True
            if self._is_left:
                process.wait()
        tell(found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)

    def read(self) -> bytes:
        """The next bytes of its output, none at the end."""
        try:
            return _piped_read(self._number)
        except OSError as error:
            raise failed("read from COPY file", error) from None

    def write(self, data: bytes) -> None:
        """All of the bytes to its input. 38000 for a program that has failed meanwhile."""
        self._kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes < _KEPT_BYTES:
            return
        try:
            self._send()
        except BrokenPipeError as error:
            self.finish()
            raise failed("write to COPY program", error) from None
        except OSError as error:
            raise failed("write to COPY program", error) from None

    def _send(self) -> None:
        kept, self._kept, self._kept_bytes = self._kept, [], 0
        _piped_write(self._number, b"".join(kept))

    def finish(self, at_end: bool = True) -> None:
        """Close the pipe and wait for the end of the program. 38000; one that was not read to its end may fail for
        that."""
        with suppress(BrokenPipeError):
            self._send()
        self._close()
        code: int = HUB.wait(self._ended)
        self._is_finished = True
        if code and (at_end or code not in _PIPE_BROKEN):
            raise ExternalRoutineException(f'program "{self._command}" failed', detail=_how_it_ended(code))

    def leave(self) -> None:
        """Its pipe is closed. One that has not come to its end is told to end before that, and with it all that it has
        started and that has not made itself independent: nobody takes what it says, and it must not take a part of its
        input for the whole."""
        with self._guard:
            self._is_left = True
            if self._process is not None:
                self._let_go(self._process)

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        if not self._is_finished:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
        self._close()
        if self._has_ended:
            process.wait()

    def _close(self) -> None:
        process = self._process
        pipe = None if process is None else process.stdout if self._to_read else process.stdin
        if pipe is not None:
            pipe.close()


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"child process was terminated by signal {-code}: {signal.strsignal(-code)}"
    words = {_NOT_EXECUTABLE: "command not executable", _NOT_FOUND: "command not found"}
    return words.get(code, f"child process exited with exit code {code}")

"""Children of a test, forked from a process that has imported pqdb and opened nothing: a few ms each, not a second.

A child runs one verb, a function of the module named beside it, and speaks with the test line by line: what it says
goes out by `say`, what it is told comes in by `heard`. It never outlives its test.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.preloaded"])

WAIT_SECONDS = 240


def say(word: object) -> None:
    """In the child: a line to the test. One write, so that threads and a kill cut no line in two."""
    os.write(1, f"{word}\n".encode())


def heard() -> str:
    """In the child: the next line from the test; "" when there will be none."""
    return sys.stdin.readline().strip()


class Child:
    """A running child, seen from the test."""

    def __init__(self, module: str, verb: str, arguments: tuple[object, ...]) -> None:
        theirs_in, ours_out = _server.Pipe(duplex=False)
        ours_in, theirs_out = _server.Pipe(duplex=False)
        with tempfile.NamedTemporaryFile(prefix="pqdb-child-", delete=False) as errors:
            self._errors = Path(errors.name)
        words = [str(argument) for argument in arguments]
        self._process = _server.Process(
            target=_live, args=(theirs_in, theirs_out, errors.name, module, verb, words), daemon=True
        )
        self._process.start()
        theirs_in.close()
        theirs_out.close()
        self._in = os.fdopen(os.dup(ours_in.fileno()), "rb")
        self._out = os.fdopen(os.dup(ours_out.fileno()), "wb", buffering=0)
        ours_in.close()
        ours_out.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    def fileno(self) -> int:
        """For `select`: readable when it has said something."""
        return self._in.fileno()

    def hear(self) -> str:
        """The next line it says; "" at its end."""
        return self._in.readline().decode().strip()

    def hear_all(self) -> list[str]:
        """The lines it says until its end; a line cut off by a kill is not among them."""
        return [line.decode().strip() for line in self._in if line.endswith(b"\n")]

    def tell(self, word: str = "") -> None:
        """Say a line to it."""
        self._out.write(f"{word}\n".encode())

    def kill(self) -> None:
        """SIGKILL: it gets to do nothing any more."""
        self._process.kill()

    def wait(self) -> int:
        """Its exit code, once it has ended; below 0 the signal that ended it."""
        self._process.join(WAIT_SECONDS)
        assert self._process.exitcode is not None, "the child does not end"
        return self._process.exitcode

    def was_killed(self) -> bool:
        """Whether it ended by SIGKILL."""
        return self.wait() == -signal.SIGKILL

    def complaint(self) -> str:
        """What it wrote to stderr."""
        return self._errors.read_text()

    def end(self) -> None:
        """Kill it where it still lives, and clean up."""
        self.kill()
        self.wait()
        self._process.close()
        self._in.close()
        self._out.close()
        self._errors.unlink()


class Children:
    """The verbs of one module."""

    def __init__(self, module: str) -> None:
        self._module = module

    def run(self, verb: str, *arguments: object) -> list[str]:
        """Let a child do one thing, which must end well. -> the lines it said."""
        with self.talk(verb, *arguments) as child:
            said = child.hear_all()
            assert child.wait() == 0, child.complaint()
            return said

    @contextmanager
    def talk(self, verb: str, *arguments: object) -> Iterator[Child]:
        """A child to speak with; it does not outlive the block."""
        child = Child(self._module, verb, arguments)
        try:
            yield child
        finally:
            child.end()


def hear(child: Child) -> str:
    """The next line a child says; "" at its end."""
    return child.hear()


def tell(child: Child, word: str = "") -> None:
    """Say a line to a child."""
    child.tell(word)


def _live(said: Connection, saying: Connection, errors: str, module: str, verb: str, words: list[str]) -> None:
    """The child's life: its own stdin, stdout and stderr, and one verb."""
    os.dup2(said.fileno(), 0)
    os.dup2(saying.fileno(), 1)
    said.close()
    saying.close()
    complaints = os.open(errors, os.O_WRONLY | os.O_APPEND)
    os.dup2(complaints, 2)
    os.close(complaints)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    getattr(importlib.import_module(module), verb)(*words)

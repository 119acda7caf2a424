"""Changes of several threads in one commit: whoever comes first leads, the others join, one sync serves them all.

The leader begins the transaction and runs the others' changes behind its own, each under a sequence of its own.
While it commits, the next ones queue up, and the first of them leads next. Threads that a commit released are
often back at once, so a leader that was not alone lately waits for them, never longer than the last commit took:
else eight threads would run in two crowds that take turns, at half the rate. A lone writer waits for nobody.

Whatever goes wrong in a commit of several is nobody's error yet: the rest is tried again without the change that
failed, and whoever is not on disk then runs its change by itself. So a change may run more than once; it must do
the same each time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from pqdb.store.write import OvertakenError

MAX_CHANGES = 256  # of one commit
LONGEST_WAIT = 0.01  # seconds that a leader waits for others, however long the last commit took
TRIES_ALONE = 10

T = TypeVar("T")


class Batch(Protocol):
    """What a change is run on: one transaction; `next_change` begins the share of another writer."""

    committed: bool  # whether it is on disk

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def next_change(self) -> None: ...


B = TypeVar("B", bound=Batch)


class _Change(Generic[B]):
    """One thread's change, and what became of it."""

    __slots__ = ("_wake", "failed", "joined", "leads", "operation", "result", "settled")

    def __init__(self, operation: Callable[[B], Any]) -> None:
        self.operation = operation
        self.result: Any = None
        self.settled = False  # the result is on disk
        self.failed = False  # it raised, or is running
        self.leads = False
        self.joined: list[_Change[B]] = []  # the leader's: whose changes run behind its own
        self._wake = threading.Lock()
        self._wake.acquire()

    def wait(self) -> None:
        self._wake.acquire()

    def wake(self) -> None:
        self._wake.release()


class GroupCommit(Generic[B]):
    """The changes of one store by all threads of this process."""

    def __init__(self, begin: Callable[[], B]) -> None:
        self._begin = begin
        self._lock = threading.Lock()  # guards the queue, and who leads; held for microseconds
        self._arrived = threading.Condition(self._lock)
        self._waiting: deque[_Change[B]] = deque()
        self._has_leader = False
        self._crowd = 1  # writers there were lately
        self._commit_seconds = 0.0  # that the last commit took

    def run(self, operation: Callable[[B], T]) -> T:
        """Run a change; its result once it is on disk. What it raises leaves no trace of it."""
        change = _Change(operation)
        try:
            self._arrive(change)
            if not change.leads:
                change.wait()
            if change.leads:
                self._lead(change)
        finally:
            self._leave(change)
        return cast("T", change.result) if change.settled else self._run_alone(operation)

    def _arrive(self, change: _Change[B]) -> None:
        """Lead where nobody does, else queue up."""
        with self._lock:
            if not self._has_leader:
                self._has_leader = change.leads = True
                return
            self._waiting.append(change)
            self._arrived.notify()

    def _leave(self, change: _Change[B]) -> None:
        """Hand on the lead and wake those it was for; an interrupted follower leaves the queue."""
        with self._lock:
            if change in self._waiting:
                self._waiting.remove(change)
            if not change.leads:
                return
            self._crowd = 1 + len(change.joined) + len(self._waiting)
            following = self._waiting.popleft() if self._waiting else None
            self._has_leader = following is not None
            if following is not None:
                following.leads = True
        if following is not None:
            following.wake()
        for each in change.joined:
            each.wake()

    def _run_alone(self, operation: Callable[[B], T]) -> T:
        """In a commit of one's own; again where another process wrote while the map had to grow."""
        for _ in range(TRIES_ALONE - 1):
            with suppress(OvertakenError):
                return self._run_once(operation)
        return self._run_once(operation)

    def _run_once(self, operation: Callable[[B], T]) -> T:
        with self._begin() as batch:
            return operation(batch)

    # -- together --------------------------------------------------------------------------------------

    def _lead(self, own: _Change[B]) -> None:
        """Commit a change and those that join it; then, if one failed, the others without it."""
        try:
            self._attempt(self._joining(own))
        except OvertakenError:
            return
        except Exception:
            if not own.joined:
                raise  # nobody else's business: no second try
        rest = [change for change in (own, *own.joined) if not (change.settled or change.failed)]
        if 1 < len(rest) <= len(own.joined):
            with suppress(Exception):  # each will meet its own error by itself
                self._attempt(rest)

    def _attempt(self, changes: Iterable[_Change[B]]) -> None:
        """Run changes in one transaction and commit it; settles all of them or none."""
        ran: list[_Change[B]] = []
        batch = self._begin()
        try:
            with batch:
                for change in changes:
                    change.failed = True
                    if ran:
                        batch.next_change()
                    change.result = change.operation(batch)
                    change.failed = False
                    ran.append(change)
                began = time.monotonic()
            self._commit_seconds = time.monotonic() - began
        finally:
            for change in ran:
                change.settled = batch.committed

    def _joining(self, own: _Change[B]) -> Iterator[_Change[B]]:
        """One's own change and, one by one, those that wait or come while it is worth waiting for them."""
        yield own
        deadline = time.monotonic() + min(self._commit_seconds, LONGEST_WAIT)
        while len(own.joined) + 1 < MAX_CHANGES:
            with self._lock:
                while not self._waiting:
                    left = deadline - time.monotonic()
                    if len(own.joined) + 1 >= self._crowd or left <= 0:
                        return
                    self._arrived.wait(left)
                change = self._waiting.popleft()
                own.joined.append(change)
            yield change

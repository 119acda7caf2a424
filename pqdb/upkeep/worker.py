"""Upkeep of one collection: what is due, done in the background by whichever process holds the lock, or by hand."""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from pqdb.allocator import give_back
from pqdb.errors import ClosedError, PqdbError, StorageError
from pqdb.memory import Memory
from pqdb.store.blocks import BlockStore
from pqdb.store.locks import FileLock
from pqdb.store.points import PointStore
from pqdb.threads import on_this_thread
from pqdb.upkeep.compact import SLIGHTLY_DEAD
from pqdb.upkeep.pace import Pace
from pqdb.upkeep.rollback import roll_back
from pqdb.upkeep.shared import SharedRows
from pqdb.upkeep.steps import BEHIND_ROWS
from pqdb.upkeep.tended import Tended
from pqdb.upkeep.train import Progress

IDLE_SECONDS = 1.0  # between looks for what other processes have written
LOOK_SECONDS = 0.02  # between looks whether another process has let go of the lock
STOP_SECONDS = 60.0  # that whoever closes waits for another thread's safe point
HELP_SECONDS = 1.0  # a writer waits no longer for upkeep that is behind
log = logging.getLogger("pqdb.upkeep")


class Stopped(Exception):
    """Raised from progress to end upkeep at the next safe point."""


class GaveWay(Exception):
    """Raised from progress to end a step in the background at the next safe point: somebody waits to do by hand what is
    due, on all cores and without rests.
    """


class Alone:
    """A lock that knows whether this thread has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None

    @property
    def is_mine(self) -> bool:
        """Whether this thread has it."""
        return self._thread == threading.get_ident()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As of a lock."""
        got = self._lock.acquire(blocking, timeout)
        if got:
            self._thread = threading.get_ident()
        return got

    def release(self) -> None:
        """As of a lock."""
        self._thread = None
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *problem: object) -> None:
        self.release()


class Upkeep:
    """Keeps one collection's indexes, one for each vector, in step with its points."""

    def __init__(
        self, points: PointStore, tended: Sequence[Tended], lock: FileLock, share: float, memory: Memory
    ) -> None:
        self.tended = tended
        self.memory = memory  # what work may take
        self._points = points
        self._shared = None if points.row_bytes else SharedRows(points)
        self._lock = lock
        self._busy = Alone()
        self._pid = os.getpid()
        self._hands: set[object] = set()  # who wait for a step in the background to end
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.pace = Pace(share)
        self._written = 0  # rows by this process since it last looked whether upkeep is behind
        self.error: str | None = None  # what the last background step failed with
        self.stage: str | None = None  # what is being done now

    def start(self) -> None:
        """Begin to work in the background. Raises StorageError where the system gives no thread."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._work, name="pqdb-upkeep", daemon=True)
        try:
            thread.start()
        except RuntimeError as refused:
            self.stop()
            raise StorageError(
                errno.EAGAIN, f"the upkeep of {self._points.path.parent} needs a thread of its own: {refused}"
            ) from refused
        self._thread = thread

    def poke(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def written(self, rows: int) -> None:
        """Rows were written: wake upkeep, and help it where it is far behind, so that neither the fresh rows that every
        search compares nor the dead ones on disk grow without end. Only with upkeep in the background.
        """
        self._wake.set()
        self._written += rows
        if self._thread is None or self._written < BEHIND_ROWS // 10:
            return
        self._written = 0
        until = time.monotonic() + HELP_SECONDS
        try:
            while not self._stopping.is_set() and time.monotonic() < until:
                behind = [each for each in self.tended if each.steps.is_behind()]
                if not behind:
                    return
                self._help(behind)
        except (PqdbError, OSError, MemoryError) as problem:  # what was written is on disk: this is upkeep's to tell
            self.error = _told(problem)

    def _help(self, behind: Sequence[Tended]) -> None:
        """Do a step in the writer's thread, or wait a little for whoever does."""
        self.pace.hurry()
        if not self._busy.acquire(blocking=False):
            self._stopping.wait(0.01)
            return
        try:
            if not self._lock.acquire():
                self._stopping.wait(0.01)
                return
            with suppress(Stopped), self._released(), self._turn(lambda: True):  # a writer does not wait for it
                for each in behind:
                    each.steps.catch_up(False, self._check(None))
        finally:
            self._busy.release()

    def stop(self) -> None:
        """End at the next safe point and wait for it, whichever thread it is that works. Only then is the lock let go
        of: another process may begin at once.
        """
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        forked = self._pid != os.getpid()  # none of the threads that may have been at work is there
        others = not forked and not self._busy.is_mine  # (progress may call us)
        waited = others and self._busy.acquire(timeout=STOP_SECONDS)
        try:
            self._lock.close()
        finally:
            if waited:
                self._busy.release()

    # -- by hand ---------------------------------------------------------------------------------------

    def run(self, retrain: Sequence[Tended] = (), progress: Progress | None = None) -> None:
        """Train anew what is to be, then do all that is due, here and now, to the last fresh row. A step in the
        background gives way; another process's is waited for. Raises InputError where there are no vectors to learn
        from, ClosedError, StorageError and kin.
        """
        with self._alone():
            check = self._check(progress)
            for each in retrain:
                each.retrain(check)
            while self._step(True, check):
                pass
            for each in self.tended:
                each.learn(lambda: None)

    def compact(self, progress: Progress | None = None, drop_previous: bool = False) -> None:
        """Do all that is due, give back all that the dead hold, and move the stores into files without free pages."""
        with self._alone():
            check = self._check(progress)
            while self._step(True, check):
                pass
            while self._shared is not None and self._shared.tidy(SLIGHTLY_DEAD, check):
                while self._step(True, check):
                    pass
            for each in self.tended:
                each.tidy(check)
                if drop_previous:
                    each.drop_previous()
            stores: list[PointStore | BlockStore] = [self._points, *(each.stores.blocks for each in self.tended)]
            for number, store in enumerate(stores):
                check("copy", number / len(stores))
                store.compact()
            check("copy", 1.0)

    def roll_back(self, tended: Tended) -> int:
        """Go back to the generation before; returns its number. Raises InputError where there is none."""
        with self._alone():
            generation = roll_back(tended.stores)
        self.poke()
        return generation

    def _step(self, everything: bool, check: Progress) -> bool:
        """What is most due of each vector in turn, and of the rows they share; returns whether there was any."""
        done = [each.steps.step(everything, check) for each in self.tended]
        if self._shared is not None:
            done.append(self._shared.step(check))
        return any(done)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other upkeep meanwhile, here or elsewhere."""
        with self._busy_by_hand():
            while not self._lock.acquire():
                if self._stopping.wait(LOOK_SECONDS):
                    raise ClosedError(f"{self._points.path.parent} was closed while another process was at its upkeep")
            with self._released():
                try:
                    with self._turn():
                        yield
                except Stopped:
                    raise ClosedError(f"{self._points.path.parent} was closed during upkeep") from None
                finally:
                    give_back()

    @contextmanager
    def _busy_by_hand(self) -> Iterator[None]:
        """No other upkeep of this process meanwhile: what the background is at gives way."""
        me = object()
        self._hands.add(me)
        try:
            with self._busy:
                self._hands.discard(me)
                yield
        finally:
            self._hands.discard(me)

    @contextmanager
    def _released(self) -> Iterator[None]:
        """Let go of the lock at the end."""
        try:
            yield
        finally:
            self.stage = None
            self._lock.release()

    @contextmanager
    def _turn(self, give_up: Callable[[], bool] | None = None) -> Iterator[None]:
        """Alone with the memory that a limit leaves, among the collections of this database. Raises Stopped where it
        was given up, as it is when upkeep stops.
        """
        with self.memory.turn(give_up or self._stopping.is_set) as ours:
            if not ours:
                raise Stopped
            yield

    # -- in the background -----------------------------------------------------------------------------

    def _work(self) -> None:
        with on_this_thread():
            while not self._stopping.is_set():
                self._wake.wait(IDLE_SECONDS)
                self._wake.clear()
                if not self._points.path.exists():  # another process dropped it
                    return
                try:
                    while not self._stopping.is_set() and self._background_step():
                        pass
                    with self._busy, self._turn():
                        self.pace.begin()
                        for each in self.tended:
                            each.learn(self._rest)
                    self.error = None
                except Stopped:
                    return
                except GaveWay:
                    continue
                except (PqdbError, OSError, MemoryError) as problem:
                    self._note(problem)
                    log.warning("upkeep of %s will try again: %s", self._points.path.parent, self.error)
                except Exception as problem:  # a mistake of ours must not end upkeep for good, in silence
                    self._note(problem)
                    log.exception("upkeep of %s met an error it does not know", self._points.path.parent)

    def _note(self, problem: Exception) -> None:
        """Let info() tell of a failure, and wait before the next try."""
        self.error = _told(problem)
        self._stopping.wait(10 * IDLE_SECONDS)

    def _background_step(self) -> bool:
        if self._hands:
            return False
        with self._busy:
            if not self._lock.acquire():
                return False
            with self._released(), self._turn():
                self.pace.begin()
                done = self._step(False, self._check(None, self._rest))
        if done:
            give_back()  # else the allocator keeps for good what a step took for a second
            self._rest()
        return done

    def _rest(self) -> None:
        """Between pieces of background work: for as long as the share of a core asks for."""
        self.pace.rest(self._stopping, lambda: bool(self._hands))
        if self._stopping.is_set():
            raise Stopped
        if self._hands:
            raise GaveWay

    def _check(self, progress: Progress | None, pause: Callable[[], None] | None = None) -> Progress:
        """Progress that also notes the stage, rests, and ends the work when upkeep is stopping."""

        def report(stage: str, share: float) -> None:
            if self._stopping.is_set():
                raise Stopped
            self.stage = f"{stage} {share:.0%}"
            if progress:
                progress(stage, share)
                if self._stopping.is_set():  # it may have closed us
                    raise Stopped
            if pause:
                pause()

        return report


def _told(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"

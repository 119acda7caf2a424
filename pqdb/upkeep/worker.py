"""Upkeep of one collection: what is due, done in the background by whichever process holds the lock, or by hand."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np

from pqdb.errors import ClosedError, InputError, PqdbError
from pqdb.metric import prepare
from pqdb.search.batch import on_this_thread
from pqdb.search.plan import Calibration
from pqdb.search.reservoir import Reservoir
from pqdb.store.locks import FileLock
from pqdb.upkeep.build import build_generation, is_trainable
from pqdb.upkeep.compact import SLIGHTLY_DEAD, tidy_lists, tidy_rows
from pqdb.upkeep.decoded import Decoded, can_decode
from pqdb.upkeep.learn import FEWEST, learn
from pqdb.upkeep.pace import Pace
from pqdb.upkeep.rollback import roll_back
from pqdb.upkeep.steps import BEHIND_ROWS, Steps
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.train import Progress

IDLE_SECONDS = 1.0  # between looks for what other processes have written
HELP_SECONDS = 1.0  # a writer waits no longer for upkeep that is behind
log = logging.getLogger("pqdb.upkeep")


class Stopped(Exception):
    """Raised from progress to end upkeep at the next safe point."""


@dataclass(frozen=True)
class Learned:
    """What this process has learned from live queries: factors on the widths of a generation's calibration."""

    generation: int
    base: Calibration  # that it was learned on
    factors: np.ndarray  # of the shape of its widths
    taken: int  # live queries taken in when it was learned
    n_live: int  # points there were

    def fits(self, generation: int, calibration: Calibration) -> bool:
        """Whether that calibration is still the one it was learned on, but for lists that were split or merged."""
        base = self.base
        same = (self.generation, base.noise, base.ks) == (generation, calibration.noise, calibration.ks)
        return same and np.array_equal(base.knots, calibration.knots)

    def on(self, calibration: Calibration, n_lists: int) -> Calibration:
        """The calibration with what was learned."""
        widths = np.clip(calibration.widths * self.factors, 1, n_lists).astype(np.float32)
        return replace(calibration, widths=widths)


class Upkeep:
    """Keeps one collection's index in step with its points."""

    def __init__(self, stores: Stores, lock: FileLock, live_queries: bool, share: float) -> None:
        self._stores = stores
        self._lock = lock
        self._busy = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.queries = Reservoir() if live_queries and stores.config.source is not None else None
        self.learned: Learned | None = None
        self.pace = Pace(share)
        self._steps = Steps(stores, self._live_queries)
        self._written = 0  # rows by this process since it last looked whether upkeep is behind
        self.error: str | None = None  # what the last background step failed with
        self.stage: str | None = None  # what is being done now

    def start(self) -> None:
        """Begin to work in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="pqdb-upkeep", daemon=True)
            self._thread.start()

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
        while not self._stopping.is_set() and time.monotonic() < until and self._steps.is_behind():
            self._help()

    def _help(self) -> None:
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
                self._steps.catch_up(False, self._check(None))
        finally:
            self._busy.release()

    def stop(self) -> None:
        """End at the next safe point and wait for it."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._lock.close()

    # -- by hand ---------------------------------------------------------------------------------------

    def run(self, everything: bool, retrain: bool = False, progress: Progress | None = None) -> None:
        """Do all that is due, here and now; with `everything`, index the last fresh row too. Waits for a background
        step. Raises InputError where there are no vectors to learn from, ClosedError, StorageError and kin.
        """
        with self._alone():
            check = self._check(progress)
            if retrain and is_trainable(self._stores.config) and self._steps.now().live > 0:
                build_generation(self._with_vectors(), progress=check)
                self._steps.forget_source()
            while self._steps.step(everything, check):
                pass
            self._learn(lambda: None)

    def compact(self, progress: Progress | None = None, drop_previous: bool = False) -> None:
        """Do all that is due, give back all that the dead hold, and move both stores into files without free pages."""
        with self._alone():
            check = self._check(progress)
            while self._steps.step(True, check):
                pass
            self._tidy_all(check)
            if drop_previous:
                self._drop_previous()
            check("copy", 0.0)
            self._stores.points.compact()
            check("copy", 0.5)
            self._stores.blocks.compact()
            check("copy", 1.0)

    def roll_back(self) -> int:
        """Go back to the generation before; returns its number. Raises InputError where there is none."""
        with self._alone():
            generation = roll_back(self._stores)
        self.poke()
        return generation

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other upkeep meanwhile, here or elsewhere."""
        with self._busy:
            self._lock.acquire(blocking=True)
            with self._released():
                try:
                    with self._turn():
                        yield
                except Stopped:
                    raise ClosedError(f"{self._stores.points.path.parent} was closed during upkeep") from None

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
        with self._stores.memory.turn(give_up or self._stopping.is_set) as ours:
            if not ours:
                raise Stopped
            yield

    def _tidy_all(self, check: Progress) -> None:
        index = self._steps.now().index
        if index is not None:
            tidy_lists(self._stores, index, SLIGHTLY_DEAD, check)
        while tidy_rows(self._stores, index, SLIGHTLY_DEAD, check):
            if index is not None:
                index = self._steps.now().index or index
                tidy_lists(self._stores, index, SLIGHTLY_DEAD, check)

    def _drop_previous(self) -> None:
        """Give up the generation that is kept for a way back."""
        blocks = self._stores.blocks
        there = blocks.generations()
        with blocks.write() as batch:
            for number in there:
                if number != batch.generation:
                    batch.drop_generation(number)

    def _with_vectors(self) -> Stores:
        """The stores with vectors to learn from: where the source is not kept, what the int8 rerank rows hold."""
        now, config = self._steps.now(), self._stores.config
        if not now.forgotten or now.index is None:
            return self._stores
        if not can_decode(config):
            raise InputError(
                f"source=None keeps no vectors to learn from, and rerank={config.rerank!r} nothing in their place: "
                f"{now.forgotten:,} rows are codes only"
            )
        with self._stores.blocks.read() as blocks:
            return replace(self._stores, decoded=Decoded.of(blocks, now.index, config))

    # -- in the background -----------------------------------------------------------------------------

    def _work(self) -> None:
        with on_this_thread():
            while not self._stopping.is_set():
                self._wake.wait(IDLE_SECONDS)
                self._wake.clear()
                try:
                    while not self._stopping.is_set() and self._background_step():
                        pass
                    with self._busy, self._turn():
                        self.pace.begin()
                        self._learn(self._rest)
                    self.error = None
                except Stopped:
                    return
                except (PqdbError, OSError, MemoryError) as problem:
                    self._note(problem)
                    log.warning("upkeep of %s will try again: %s", self._stores.points.path.parent, self.error)
                except Exception as problem:  # a mistake of ours must not end upkeep for good, in silence
                    self._note(problem)
                    log.exception("upkeep of %s met an error it does not know", self._stores.points.path.parent)

    def _note(self, problem: Exception) -> None:
        """Let info() tell of a failure, and wait before the next try."""
        self.error = f"{type(problem).__name__}: {problem}"
        self._stopping.wait(10 * IDLE_SECONDS)

    def _background_step(self) -> bool:
        with self._busy:
            if not self._lock.acquire():
                return False
            with self._released(), self._turn():
                self.pace.begin()
                done = self._steps.step(False, self._check(None, self._rest))
        if done:
            self._rest()
        return done

    def _rest(self) -> None:
        """Between pieces of background work: for as long as the share of a core asks for."""
        self.pace.rest(self._stopping)
        if self._stopping.is_set():
            raise Stopped

    # -- live queries ----------------------------------------------------------------------------------

    def _live_queries(self) -> np.ndarray:
        """(n, d) what was asked lately, prepared."""
        config = self._stores.config
        if self.queries is None or not len(self.queries):
            return np.zeros((0, config.dim), np.float32)
        return prepare(self.queries.queries(), config.dim, config.metric)

    def _learn(self, pause: Callable[[], None]) -> None:
        """Scale the calibration to the queries people ask, where there are enough that it has not seen."""
        if self.queries is None or len(self.queries) < FEWEST:
            return
        now = self._steps.now()
        if now.index is None:
            return
        last, taken, base = self.learned, self.queries.taken, now.index.calibration
        if last is not None and last.fits(now.index.generation, base):
            grown = now.live >= 1.25 * last.n_live
            if not grown and taken < 2 * last.taken:
                return
        found = learn(self._stores, now.index, self.queries.queries(), pause)
        self.learned = Learned(now.index.generation, base, found.widths / base.widths, taken, now.live)

    def _check(self, progress: Progress | None, pause: Callable[[], None] | None = None) -> Progress:
        """Progress that also notes the stage, rests, and ends the work when upkeep is stopping."""

        def report(stage: str, share: float) -> None:
            if self._stopping.is_set():
                raise Stopped
            self.stage = f"{stage} {share:.0%}"
            if progress:
                progress(stage, share)
            if pause:
                pause()

        return report

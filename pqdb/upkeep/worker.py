"""Upkeep of one collection: what is due, done in the background by whichever process holds the lock, or by hand."""

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pqdb.config import FRESH_ROWS, RETRAIN_GROWTH, TRAIN_ROWS
from pqdb.errors import ClosedError, InputError, PqdbError
from pqdb.search.index import Index
from pqdb.search.plan import Calibration
from pqdb.search.reservoir import Reservoir
from pqdb.store.locks import FileLock
from pqdb.upkeep.balance import balance, is_balanceable, is_uneven
from pqdb.upkeep.build import Stores, build_generation, is_trainable
from pqdb.upkeep.compact import DEAD, SLIGHTLY_DEAD, dead_in_lists, dead_in_runs, tidy_lists, tidy_rows
from pqdb.upkeep.fresh import index_fresh
from pqdb.upkeep.learn import FEWEST, learn
from pqdb.upkeep.train import Progress

IDLE_SECONDS = 1.0  # between looks for what other processes have written
FEWEST_DEAD = 2_000  # rows: fewer are not worth the work
BEHIND_ROWS, BEHIND_SHARE = 20_000, 0.1  # fresh rows: past the larger, writers help to index
BEHIND_DEAD = 0.4  # of the rows on disk are dead: giving them back comes first, and writers help
LOOK = 0.02  # of the rows in lists have died: time to look which lists hold them
log = logging.getLogger("pqdb.upkeep")


class Stopped(Exception):
    """Raised from progress to end upkeep at the next safe point."""


@dataclass(frozen=True)
class Learned:
    """A calibration of this process's own, and what it is for."""

    generation: int
    version: int  # of the generation's objects: others after its lists were split or merged
    calibration: Calibration
    taken: int  # live queries taken in when it was learned
    n_live: int  # points there were


class Upkeep:
    """Keeps one collection's index in step with its points."""

    def __init__(self, stores: Stores, lock: FileLock, live_queries: bool) -> None:
        self._stores = stores
        self._lock = lock
        self._busy = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._index: tuple[int, int, Index] | None = None
        self.queries = Reservoir() if live_queries and stores.config.source is not None else None
        self.learned: Learned | None = None
        self._rested = 0.0
        self._seen_dead = 0  # rows in lists, when they were last looked through
        self._written = 0  # rows by this process since it last looked whether upkeep is behind
        self._even = -1  # sequence at which lists that look uneven could not be split
        self._tidying = False  # runs that are mostly dead are being rewritten, a round at a time
        self._barren = -1  # sequence at which there was nothing to give back, though it looked so
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
        while self._is_behind() and not self._stopping.is_set():
            with suppress(Stopped):
                if not self._background_step():
                    return

    def _is_behind(self) -> bool:
        live, fresh, index, _ = self._state()
        if index is not None and fresh > max(BEHIND_ROWS, BEHIND_SHARE * live):
            return True
        return self._is_mostly_dead()

    def _is_mostly_dead(self) -> bool:
        dead, kept = dead_in_runs(self._stores)
        return dead > max(BEHIND_DEAD * kept, BEHIND_ROWS) and self._sequence() != self._barren

    def stop(self) -> None:
        """End at the next safe point and wait for it."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._lock.close()

    def run(self, everything: bool, retrain: bool = False, progress: Progress | None = None) -> None:
        """Do all that is due, here and now; with `everything`, index the last fresh row too. Waits for a background
        step. Raises InputError where there are no vectors to learn from, ClosedError, StorageError and kin.
        """
        with self._busy:
            self._lock.acquire(blocking=True)
            try:
                if retrain and is_trainable(self._stores.config) and self._state()[0] > 0:
                    self._refuse_without_vectors()
                    build_generation(self._stores, progress=self._check(progress))
                    self._forget_source()
                while self._step(everything, progress):
                    pass
                self._learn(lambda: None)
            except Stopped:
                raise ClosedError(f"{self._stores.points.path.parent} was closed during upkeep") from None
            finally:
                self.stage = None
                self._lock.release()

    def compact(self, progress: Progress | None = None, drop_previous: bool = False) -> None:
        """Do all that is due, give back all that the dead hold, and move both stores into files without free pages."""
        self.run(everything=True, progress=progress)
        with self._busy:
            self._lock.acquire(blocking=True)
            try:
                check = self._check(progress)
                index = self._state()[2]
                if index is not None:
                    tidy_lists(self._stores, index, SLIGHTLY_DEAD, check)
                while tidy_rows(self._stores, index, SLIGHTLY_DEAD, check):
                    if index is not None:
                        tidy_lists(self._stores, index, SLIGHTLY_DEAD, check)
                if drop_previous:
                    self._drop_previous()
                check("copy", 0.0)
                self._stores.points.compact()
                check("copy", 0.5)
                self._stores.blocks.compact()
                check("copy", 1.0)
            except Stopped:
                raise ClosedError(f"{self._stores.points.path.parent} was closed during upkeep") from None
            finally:
                self.stage = None
                self._lock.release()

    def _drop_previous(self) -> None:
        """Give up the generation that is kept for a way back."""
        blocks = self._stores.blocks
        with blocks.write() as batch:
            for number in blocks.generations():
                if number != batch.generation:
                    batch.drop_generation(number)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(IDLE_SECONDS)
            self._wake.clear()
            try:
                while not self._stopping.is_set() and self._background_step():
                    pass
                with self._busy:
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
            try:
                return self._step(everything=False, progress=None)
            finally:
                self.stage = None
                self._lock.release()

    def _step(self, everything: bool, progress: Progress | None) -> bool:
        """The one thing that is most due; returns whether there was any."""
        first = self._is_mostly_dead() and self._tidy_step(progress)
        if first:
            return True
        if is_trainable(self._stores.config) and self._index_step(everything, progress):
            self._forget_source()
            return True
        return self._tidy_step(progress) or self._balance_step(progress)

    def _index_step(self, everything: bool, progress: Progress | None) -> bool:
        """Train, or index fresh rows."""
        live, fresh, index, trained = self._state()
        due = live >= TRAIN_ROWS if index is None else live >= RETRAIN_GROWTH * trained and not self._forgotten()
        if due:
            self._check(progress)("train", 0.0)
            build_generation(self._stores, progress=self._check(progress))
        elif index is not None and (fresh >= FRESH_ROWS or (everything and fresh > 0)):
            self._check(progress)("index", 0.0)
            index_fresh(self._stores, index)
        else:
            return False
        return True

    def _balance_step(self, progress: Progress | None) -> bool:
        """Split and merge lists, where enough of them are uneven."""
        index, sequence = self._state()[2], self._sequence()
        if index is None or sequence == self._even or not is_balanceable(self._stores) or not is_uneven(self._stores):
            return False
        if balance(self._stores, index, self._check(progress)):
            return True
        self._even = sequence  # what is uneven there cannot be told apart
        return False

    def _tidy_step(self, progress: Progress | None) -> bool:
        """Give back what dead rows hold, in lists or of the source, where that is much."""
        check, index = self._check(progress), self._state()[2]
        if index is not None:
            dead, held = dead_in_lists(self._stores)
            if dead - self._seen_dead >= max(LOOK * held, FEWEST_DEAD / 10):
                done = tidy_lists(self._stores, index, DEAD, check)
                self._seen_dead = dead_in_lists(self._stores)[0]
                if done:
                    return True
            self._seen_dead = min(dead, self._seen_dead)
        dead, kept = dead_in_runs(self._stores)
        due = dead >= max(DEAD * kept, FEWEST_DEAD) and self._sequence() != self._barren
        if not due and not self._tidying:
            return False
        self._tidying = tidy_rows(self._stores, index, DEAD, check) > 0  # to the end, once it is due
        if not self._tidying:
            self._barren = self._sequence()
        return self._tidying

    def _sequence(self) -> int:
        with self._stores.points.read() as points:
            return points.seq

    def _learn(self, pause: Callable[[], None]) -> None:
        """Scale the calibration to the queries people ask, where there are enough that it has not seen."""
        live, _, index, _ = self._state()
        if self.queries is None or index is None or len(self.queries) < FEWEST:
            return
        last, taken = self.learned, self.queries.taken
        version = 0 if self._index is None else self._index[1]
        if last is not None and (last.generation, last.version) == (index.generation, version):
            grown = live >= 1.25 * last.n_live
            if not grown and taken < 2 * last.taken:
                return
        self._rested = time.monotonic()
        calibration = learn(self._stores, index, self.queries.queries(), pause)
        self.learned = Learned(index.generation, version, calibration, taken, live)

    def _rest(self) -> None:
        """Between blocks of background work: as long again as the block took, so that half a core stays free."""
        if self._stopping.wait(time.monotonic() - self._rested):
            raise Stopped
        self._rested = time.monotonic()

    def _state(self) -> tuple[int, int, Index | None, int]:
        """Live points, fresh rows, the index, and how many rows it was trained for."""
        with self._stores.blocks.read() as blocks, self._stores.points.read() as points:
            fresh = points.n_rows - blocks.watermark
            if not blocks.generation:
                return points.n_live, fresh, None, 0
            key = (blocks.generation, blocks.objects_version)
            if self._index is None or self._index[:2] != key:
                self._index = (*key, Index.load(blocks))
            trained = int(json.loads(blocks.object("about"))["trained_rows"])
            return points.n_live, fresh, self._index[2], trained

    def _forgotten(self) -> int:
        """How many rows have no vector any more: codes are all there is of them, so no new generation can be made."""
        with self._stores.points.read() as points:
            return points.forgotten_rows

    def _refuse_without_vectors(self) -> None:
        forgotten = self._forgotten()
        if forgotten:
            raise InputError(f"source=None keeps no vectors to learn from: {forgotten:,} rows are codes only")

    def _forget_source(self) -> None:
        """source=None: once rows are in the lists, their codes are all that stays."""
        if self._stores.config.source is not None:
            return
        with self._stores.blocks.read() as blocks:
            watermark = blocks.watermark
        with self._stores.points.write() as batch:
            batch.forget_source(watermark)

    def _check(self, progress: Progress | None) -> Progress:
        """Progress that also notes the stage and ends the work when upkeep is stopping."""

        def report(stage: str, share: float) -> None:
            if self._stopping.is_set():
                raise Stopped
            self.stage = f"{stage} {share:.0%}"
            if progress:
                progress(stage, share)

        return report

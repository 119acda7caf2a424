"""Upkeep of one collection: what is due, done in the background by whichever process holds the lock, or by hand."""

import json
import logging
import threading

from pqdb.config import FRESH_ROWS, RETRAIN_GROWTH, TRAIN_ROWS
from pqdb.errors import PqdbError
from pqdb.search.index import Index
from pqdb.store.locks import FileLock
from pqdb.upkeep.build import Stores, build_generation, is_trainable
from pqdb.upkeep.fresh import index_fresh
from pqdb.upkeep.train import Progress

IDLE_SECONDS = 1.0  # between looks for what other processes have written
log = logging.getLogger("pqdb.upkeep")


class Stopped(Exception):
    """Raised from progress to end upkeep at the next safe point."""


class Upkeep:
    """Keeps one collection's index in step with its points."""

    def __init__(self, stores: Stores, lock: FileLock) -> None:
        self._stores = stores
        self._lock = lock
        self._busy = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._index: tuple[int, int, Index] | None = None
        self.error: str | None = None  # what the last background step failed with
        self.stage: str | None = None  # what is being done now

    def start(self) -> None:
        """Begin to work in the background."""
        if self._thread is None and is_trainable(self._stores.config):
            self._thread = threading.Thread(target=self._work, name="pqdb-upkeep", daemon=True)
            self._thread.start()

    def poke(self) -> None:
        """There may be something to do."""
        self._wake.set()

    def stop(self) -> None:
        """End at the next safe point and wait for it."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._lock.close()

    def run(self, everything: bool, retrain: bool = False, progress: Progress | None = None) -> None:
        """Do all that is due, here and now; with `everything`, index the last fresh row too. Waits for a background
        step.
        """
        with self._busy:
            self._lock.acquire(blocking=True)
            try:
                if retrain and is_trainable(self._stores.config) and self._state()[0] > 0:
                    build_generation(self._stores, progress=progress)
                while self._step(everything, progress):
                    pass
            finally:
                self.stage = None
                self._lock.release()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(IDLE_SECONDS)
            self._wake.clear()
            try:
                while not self._stopping.is_set() and self._background_step():
                    pass
                self.error = None
            except Stopped:
                return
            except (PqdbError, OSError, MemoryError) as problem:
                self.error = f"{type(problem).__name__}: {problem}"
                log.warning("upkeep of %s will try again: %s", self._stores.points.path.parent, self.error)
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
        live, fresh, index, trained = self._state()
        if not is_trainable(self._stores.config):
            return False
        if (index is None and live >= TRAIN_ROWS) or (index is not None and live >= RETRAIN_GROWTH * trained):
            self._check(progress)("train", 0.0)
            build_generation(self._stores, progress=self._check(progress))
        elif index is not None and (fresh >= FRESH_ROWS or (everything and fresh > 0)):
            self._check(progress)("index", 0.0)
            index_fresh(self._stores, index)
        else:
            return False
        self._forget_source()
        return True

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

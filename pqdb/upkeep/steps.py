"""What is due in one collection, most urgent first, a step at a time. One thread at a time, under the upkeep lock."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pqdb.config import FRESH_ROWS, RETRAIN_GROWTH, TRAIN_ROWS
from pqdb.search.index import Index
from pqdb.upkeep import drift
from pqdb.upkeep.balance import LISTS_AT_ONCE, balance, is_balanceable, n_uneven
from pqdb.upkeep.build import build_generation, is_trainable
from pqdb.upkeep.compact import DEAD, dead_in_lists, dead_in_runs, tidy_lists, tidy_rows
from pqdb.upkeep.fresh import index_fresh
from pqdb.upkeep.proof import proof_of
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.train import Progress
from pqdb.upkeep.watch import About, Watch, about_of

FEWEST_DEAD = 2_000  # rows: fewer are not worth the work
LOOK = 0.02  # of the rows in lists have died: time to look which lists hold them
BEHIND_ROWS, BEHIND_SHARE = 20_000, 0.1  # fresh rows: past the larger, writers help to index
BEHIND_DEAD = 0.4  # of the rows on disk are dead: giving them back comes first, and writers help
VAIN_MOVES = 3  # of lists, one after the other: a list cut in two may have to be cut again


@dataclass(frozen=True)
class Now:
    """How things stand."""

    live: int
    fresh: int
    sequence: int
    forgotten: int  # rows without a source vector
    index: Index | None
    about: About
    watch: Watch


class Patience:
    """How often lists are moved in vain before something is written again. What a cut takes apart, a merge can put
    together: rows go to the nearest of all centroids, and both go by the mean of all lists.
    """

    def __init__(self) -> None:
        self._sequence = -1
        self._fewest = 0  # uneven lists, since something was written
        self._vain: float = 0  # moves that did not make them fewer

    def allows(self, sequence: int, uneven: int) -> bool:
        """Whether to move lists once more, when so many are uneven: a move takes LISTS_AT_ONCE of either kind."""
        if sequence != self._sequence or uneven < self._fewest:
            self._sequence, self._fewest, self._vain = sequence, uneven, 0
        else:
            self._vain += 1
        return self._vain <= VAIN_MOVES + uneven // LISTS_AT_ONCE

    def end(self) -> None:
        """Move none any more until something is written."""
        self._vain = math.inf


class Steps:
    """Knows what is due, and does it."""

    def __init__(self, stores: Stores, queries: Callable[[], np.ndarray]) -> None:
        self._stores = stores
        self._queries = queries  # asked lately, (n, d) prepared
        self._index: tuple[int, int, Index] | None = None
        self._seen_dead = 0  # rows in lists, when they were last looked through
        self._tidying = False  # runs that are mostly dead are being rewritten, a round at a time
        self._barren = -1  # sequence at which there was nothing to give back, though it looked so
        self._patience = Patience()
        self._tries = 0  # so that each draw of a sample is another one

    def now(self) -> Now:
        """Read how things stand."""
        with self._stores.blocks.read() as blocks, self._stores.points.read() as points:
            index, about, watch = None, About(), Watch()
            if blocks.generation:
                key = (blocks.generation, blocks.objects_version)
                if self._index is None or self._index[:2] != key:
                    self._index = (*key, Index.load(blocks))
                index, about, watch = self._index[2], about_of(blocks), Watch.load(blocks)
            fresh = points.n_rows - blocks.watermark
            return Now(points.n_live, fresh, points.seq, points.forgotten_rows, index, about, watch)

    def is_behind(self) -> bool:
        """Whether fresh or dead rows have become so many that writers should help."""
        now = self.now()
        if now.index is not None and now.fresh > max(BEHIND_ROWS, BEHIND_SHARE * now.live):
            return True
        return self._is_mostly_dead(now)

    def step(self, everything: bool, progress: Progress) -> bool:
        """The one thing that is most due; returns whether there was any."""
        if self.catch_up(everything, progress):
            return True
        trainable = is_trainable(self._stores.config)
        due = [self._train, self._tidy] if trainable else [self._tidy]
        if trainable and self._stores.follow_drift:
            due += [self._look, self._balance, self._settle, self._follow]
        return any(each(self.now(), progress) for each in due)  # (one that refuses in the end may change things, too)

    def catch_up(self, everything: bool, progress: Progress) -> bool:
        """What writers help with: give back what is mostly dead, index what is fresh; returns whether there was any."""
        now = self.now()
        if self._is_mostly_dead(now) and self._tidy(now, progress):
            return True
        if now.index is None or not (now.fresh >= FRESH_ROWS or (everything and now.fresh > 0)):
            return False
        progress("index", 0.0)
        index_fresh(self._stores, now.index)
        self.forget_source()
        progress("index", 1.0)
        return True

    # -- generations -----------------------------------------------------------------------------------

    def _train(self, now: Now, progress: Progress) -> bool:
        """The first generation, or one for a collection that has grown, or shrunk, out of its last."""
        if now.index is None:
            if now.live < TRAIN_ROWS:
                return False
            build_generation(self._stores, progress=progress)
            self.forget_source()
            return True
        grown = now.live >= RETRAIN_GROWTH * now.about.trained_rows
        shrunk = TRAIN_ROWS <= now.live <= now.about.trained_rows / RETRAIN_GROWTH
        return (grown or shrunk) and not now.forgotten and self._build_proved(now, progress, strictly=False)

    def _look(self, now: Now, progress: Progress) -> bool:
        """Look whether recall is what it should be, and learn anew what it takes. Before lists are evened, which may be
        due without end while rows arrive. Without source vectors there is nothing to measure it against.
        """
        if not self._can_follow(now) or not drift.is_recall_due(now.watch, now.live):
            return False
        assert now.index is not None
        self._tries += 1
        progress("measure", 0.0)
        recall, live = drift.recall_now(self._stores, now.index, self._tries)
        settled = now.watch.settled or (drift.ASKED if self._stores.config.metric == "l2" else recall)
        if drift.is_off(recall, settled):
            self._learn(now, progress)
        else:
            self._note_recall(now, now.watch, recall, settled, live)
        progress("measure", 1.0)
        return True

    def _settle(self, now: Now, progress: Progress) -> bool:
        """Learn anew what a recall takes, once lists that were uneven when it was learned are cut and merged as far as
        they can be. Rows whose lists were made for them may be found as they should be, and questions not.
        """
        if not self._can_follow(now) or not drift.has_moved(now.watch, now.live):
            return False
        self._tries += 1
        progress("measure", 0.0)
        self._learn(now, progress)
        progress("measure", 1.0)
        return True

    def _follow(self, now: Now, progress: Progress) -> bool:
        """Try a new codebook where the data have moved away from the old one."""
        if not self._can_follow(now) or not drift.has_drifted(now.about, now.watch, now.live):
            return False
        return self._build_proved(now, progress, strictly=True)

    def _can_follow(self, now: Now) -> bool:
        return now.index is not None and self._stores.config.source is not None and now.live >= TRAIN_ROWS

    def _learn(self, now: Now, progress: Progress) -> None:
        """Learn anew what a recall takes, and note what it comes to then."""
        assert now.index is not None
        found = drift.recalibrate(self._stores, now.index, self._tries, progress)
        index = replace(now.index, calibration=found)
        recall, live = drift.recall_now(self._stores, index, self._tries)
        self._note_recall(now, replace(now.watch, moved=0), recall, recall, live)

    def _note_recall(self, now: Now, watch: Watch, recall: float, settled: float, live: int) -> None:
        assert now.index is not None
        watch = replace(watch, asked=drift.ASKED, recall=recall, settled=settled)
        watch = replace(watch, recall_rows=live, recall_inserted=watch.inserted)
        self._note(now.index.generation, watch)

    def _build_proved(self, now: Now, progress: Progress, strictly: bool) -> bool:
        """Build a generation aside, and swap it in if it proves better; remember for a while if it does not."""
        if drift.was_refused_lately(now.watch, now.live):
            return False
        assert now.index is not None
        self._tries += 1
        proof = proof_of(self._stores, self._queries(), self._tries, strictly)
        built = build_generation(self._stores, self._tries, self._feeding(now.index, progress), proof)
        if built is None:
            watch = self.now().watch
            self._note(now.index.generation, replace(watch, refused_inserted=watch.inserted))
        return built is not None

    def _feeding(self, index: Index, progress: Progress) -> Progress:
        """Progress that also indexes what is written during a build, so that searches stay fast."""

        def report(stage: str, share: float) -> None:
            progress(stage, share)
            with self._stores.blocks.read() as blocks, self._stores.points.read() as points:
                fresh = points.n_rows - blocks.watermark
            if fresh >= FRESH_ROWS:
                index_fresh(self._stores, self.now().index or index)

        return report

    def _note(self, generation: int, watch: Watch) -> None:
        with self._stores.blocks.write() as batch:
            batch.put_note(generation, "watch", watch.to_bytes())

    def forget_source(self) -> None:
        """source=None: once rows are in the lists, their codes are all that stays."""
        if self._stores.config.source is not None:
            return
        with self._stores.blocks.read() as blocks:
            watermark = blocks.watermark
        with self._stores.points.write() as batch:
            batch.forget_source(watermark)

    # -- lists and rows --------------------------------------------------------------------------------

    def _balance(self, now: Now, progress: Progress) -> bool:
        """Split and merge lists, where enough of them are uneven and it makes them fewer."""
        if now.index is None or not is_balanceable(self._stores):
            return False
        uneven = n_uneven(self._stores)
        if not uneven or not self._patience.allows(now.sequence, uneven):
            return False
        if balance(self._stores, now.index, progress):
            return True
        self._patience.end()  # what is uneven there cannot be told apart
        return False

    def _is_mostly_dead(self, now: Now) -> bool:
        dead, kept = dead_in_runs(self._stores)
        return dead > max(BEHIND_DEAD * kept, BEHIND_ROWS) and now.sequence != self._barren

    def _tidy(self, now: Now, progress: Progress) -> bool:
        """Give back what dead rows hold, in lists or of the source, where that is much."""
        if now.index is not None:
            dead, held = dead_in_lists(self._stores)
            if dead - self._seen_dead >= max(LOOK * held, FEWEST_DEAD / 10):
                done = tidy_lists(self._stores, now.index, DEAD, progress)
                self._seen_dead = dead_in_lists(self._stores)[0]
                if done:
                    return True
            self._seen_dead = min(dead, self._seen_dead)
        dead, kept = dead_in_runs(self._stores)
        due = dead >= max(DEAD * kept, FEWEST_DEAD) and now.sequence != self._barren
        if not due and not self._tidying:
            return False
        self._tidying = tidy_rows(self._stores, now.index, DEAD, progress) > 0  # to the end, once it is due
        if not self._tidying:
            with self._stores.points.read() as points:
                self._barren = points.seq
        return self._tidying

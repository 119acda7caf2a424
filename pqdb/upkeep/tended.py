"""One vector of a collection as upkeep tends it: its stores, the steps due there, and what is learned from queries."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pqdb.errors import InputError
from pqdb.metric import prepare
from pqdb.search.plan import Calibration, Losses
from pqdb.search.reservoir import CAPACITY, Reservoir
from pqdb.upkeep.build import build_generation, is_trainable
from pqdb.upkeep.compact import SLIGHTLY_DEAD, tidy_lists, tidy_rows
from pqdb.upkeep.decoded import Decoded, can_decode
from pqdb.upkeep.learn import FEWEST, learn
from pqdb.upkeep.steps import Steps
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.train import Progress

MORE_QUERIES = 2  # times as many live queries taken in than last time: worth learning from again
OTHER_QUERIES = 4  # the same once there are as many as are kept; answering them exactly takes seconds


@dataclass(frozen=True)
class Learned:
    """What this process has learned from live queries, to be put in the place of a generation's calibration."""

    generation: int
    base: Calibration  # that it was learned on
    factors: np.ndarray  # on its widths, of their shape
    losses: Losses
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
        return replace(calibration, widths=widths, losses=self.losses)


class Tended:
    """What upkeep knows and does of one vector."""

    def __init__(self, stores: Stores, live_queries: bool) -> None:
        self.stores = stores
        self.steps = Steps(stores, self._live_queries)
        self.queries = Reservoir() if live_queries and stores.config.source is not None else None
        self.learned: Learned | None = None

    def retrain(self, check: Progress) -> None:
        """Build a generation from the points there are. Raises InputError where there are no vectors to learn from."""
        if is_trainable(self.stores.config) and self.steps.now().live > 0:
            build_generation(self._with_vectors(), progress=check)
            self.steps.forget_source()

    def tidy(self, check: Progress) -> None:
        """Give back all that the dead hold, in lists and of the source."""
        index = self.steps.now().index
        if index is not None:
            tidy_lists(self.stores, index, SLIGHTLY_DEAD, check)
        while tidy_rows(self.stores, index, SLIGHTLY_DEAD, check):
            if index is not None:
                index = self.steps.now().index or index
                tidy_lists(self.stores, index, SLIGHTLY_DEAD, check)

    def drop_previous(self) -> None:
        """Give up the generation that is kept for a way back."""
        blocks = self.stores.blocks
        there = blocks.generations()
        with blocks.write() as batch:
            for number in there:
                if number != batch.generation:
                    batch.drop_generation(number)

    def learn(self, pause: Callable[[], None]) -> None:
        """Scale the calibration to the queries people ask, where there are enough that it has not seen."""
        if self.queries is None or len(self.queries) < FEWEST:
            return
        now = self.steps.now()
        if now.index is None:
            return
        last, taken, base = self.learned, self.queries.taken, now.index.calibration
        if last is not None and last.fits(now.index.generation, base):
            grown = now.live >= 1.25 * last.n_live
            if not grown and taken < (MORE_QUERIES if last.taken < CAPACITY else OTHER_QUERIES) * last.taken:
                return
        found = learn(self.stores, now.index, self.queries.queries(), pause)
        self.learned = Learned(now.index.generation, base, found.widths / base.widths, found.losses, taken, now.live)

    def _live_queries(self) -> np.ndarray:
        """(n, d) what was asked lately, prepared."""
        config = self.stores.config
        if self.queries is None or not len(self.queries):
            return np.zeros((0, config.dim), np.float32)
        return prepare(self.queries.queries(), config.dim, config.metric)

    def _with_vectors(self) -> Stores:
        """The stores with vectors to learn from: where the source is not kept, what rerank rows or codes hold."""
        now, config = self.steps.now(), self.stores.config
        if not now.forgotten or now.index is None:
            return self.stores
        if not can_decode(config):
            raise InputError(
                f"source=None keeps no vectors to learn from, and rerank={config.rerank!r} nothing in their place: "
                f"{now.forgotten:,} rows are codes only"
            )
        with self.stores.blocks.read() as blocks:
            return replace(self.stores, decoded=Decoded.of(blocks, now.index, config))

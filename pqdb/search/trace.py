"""What a search did, for `explain`."""

import time
from dataclasses import dataclass, field

import numpy as np

from pqdb.hits import FilterExplanation
from pqdb.kernels.pack import GROUP
from pqdb.search.frame import Among
from pqdb.search.index import Index
from pqdb.search.passed import Candidates, Routed
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot


@dataclass
class Trace:
    """Counts, and microseconds by stage."""

    microseconds: dict[str, float] = field(default_factory=dict)
    lists: int = 0
    groups: int = 0
    codes: int = 0
    candidates: int = 0
    reranked: int = 0
    wanted: int | None = None  # groups that lists chosen for a filter have
    declined: bool = False  # they were too many
    filter: FilterExplanation | None = None
    expected: float | None = None  # recall, by the calibration
    _since: float = field(default_factory=time.perf_counter)

    def mark(self, stage: str) -> None:
        """The stage ends here; one that is gone through again takes the time of both."""
        now = time.perf_counter()
        self.microseconds[stage] = round(self.microseconds.get(stage, 0.0) + (now - self._since) * 1e6, 2)
        self._since = now

    def scanned(
        self, snapshot: Snapshot, index: Index, moved: np.ndarray, routed: Routed, candidates: Candidates,
        reranked: np.ndarray, plan: Plan, among: Among | None,
    ) -> None:  # fmt: skip
        """What became of the first query of a block."""
        self.declined = bool(routed.probed[0] < 0)
        lists = routed.lists[0, : max(0, routed.probed[0])]
        counts = snapshot.blocks.counts[lists].astype(np.int64)
        self.lists, self.codes, self.groups = len(lists), int(counts.sum()), int((-(-counts // GROUP)).sum())
        self.candidates, self.reranked = int(candidates.starts[1]), int(reranked[0])
        if among is not None:
            self.groups = int(among.passing.groups[lists].sum())
            self.codes = min(self.codes, self.groups * GROUP)
            self.wanted = int(routed.wanted[0]) if among.aim else self.groups
            return
        _, easy = index.router.keys_of(moved[:1], within=index.calibration.within)
        self.expected = (1 - plan.lost) * index.calibration.recall_of(plan.k, float(easy[0]), len(lists))


def mark(trace: Trace | None, stage: str) -> None:
    """The stage ends here, for whoever wants to know."""
    if trace:
        trace.mark(stage)

"""What one stage of the search passes on to the next."""

from dataclasses import dataclass

import numpy as np

from pqdb.search.scratch import Scratch


@dataclass(frozen=True, slots=True)
class Routed:
    """The lists of each query, best first."""

    lists: np.ndarray  # (q, p) int32
    probed: np.ndarray  # (q,) int32 how many of them
    bases: np.ndarray  # (q, p) float32 value of the centroid
    margins: np.ndarray  # (q, p) float32 error of an estimate there, per unit of a code's scale
    floors: np.ndarray  # (q,) float32 scale that this is told by at least
    wanted: np.ndarray  # (q,) int64 groups that lists chosen for a filter have: those probed first
    there: np.ndarray  # (q,) int32 lists that may be probed if need be; (0,) where lists are not chosen
    cells: np.ndarray  # (q, CELLS, 4) float32 and
    cell_of: np.ndarray  # (q, n_lists) int32, as choose_queries leaves them


@dataclass(frozen=True, slots=True)
class Candidates:
    """The survivors of the scan; those of query i are starts[i]:starts[i + 1] of the scratch's arrays. Of as many
    queries as there was room for.
    """

    scratch: Scratch
    starts: np.ndarray  # (q + 1,) int64
    cuts: np.ndarray  # (q,) float32 the estimate that the cut is by: the Plan's depth-th best

    def first(self, count: int) -> "Candidates":
        """Of so many queries."""
        return Candidates(self.scratch, self.starts[: count + 1], self.cuts[:count])


@dataclass(frozen=True, slots=True)
class Best:
    """Rows to be scored exactly; those of query i begin at firsts[i] in `rows`."""

    rows: np.ndarray  # uint32
    values: np.ndarray  # float32, as far as they are known
    firsts: np.ndarray  # (q,) int64
    found: np.ndarray  # (q,) int32
    in_order: bool = True  # the best first

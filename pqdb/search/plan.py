"""How hard to look: the numbers behind `recall=`, calibrated when a generation is built."""

import json
import math
from dataclasses import dataclass, replace

import numpy as np

from pqdb.config import MAX_K
from pqdb.errors import CorruptError, InputError
from pqdb.search.scatter import NO_SCATTER, Scatter

DEEPER = 2  # estimates beyond the k-th that the cut is by, of points
MARGIN_SIGMAS = 3.0  # candidates within 3σ of the k-th estimate are reranked: costs at most .001 of recall …
SIGMAS = (1.5, 2.0, 2.5)  # … and within fewer, where it is known what that costs
LOSSES_KS = (1, 10)  # it is known for so many neighbours; of more, fewer are passed over
BY_MARGIN = 1 / 8  # of what a recall leaves to be missed
AT_FULL = 1 / 5  # of the loss at 2.5σ, at 3σ: where the width comes to be the full one
MUCH_SPARE = 100.0  # more than so much is for rows too alike for int8, which are no more the larger k is
TARGETS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
Losses = tuple[tuple[float, ...], ...]  # of each of LOSSES_KS nearest the share that margins of SIGMAS pass over
HARDNESS = [-math.log(1 - target) for target in TARGETS]


@dataclass(frozen=True)
class Calibration:
    """What a generation knows of itself: the error of its estimates, and how many lists a recall takes.

    `widths[i, j, b]` lists reach TARGETS[j] of the `ks[i]` nearest for a query that is as easy as `knots[b]`.
    """

    noise: float  # σ of (value − estimate) / (β·s·distance)
    ks: tuple[int, ...]
    knots: np.ndarray  # (b,) float32 ascending
    widths: np.ndarray  # (len(ks), len(TARGETS), b) float32
    spare: float = 1.0  # how much longer than usual the list of rows scored from the source is
    scatter: Scatter = NO_SCATTER
    losses: Losses = ()  # () where not measured
    alike: int = 1  # how many rows usually make one point, seen from anywhere else
    scale: float = 0.0  # of a code whose residual has length 1, usually; 0 where not measured
    within: float = 0.0  # how near to the best list others are that make a query harder; 0: they are not looked at

    def margin_for(self, k: int, recall: float) -> tuple[float, float]:
        """The width of the margin in σ, and the share of the k nearest it passes over of those that the full one does
        not: an eighth of what the recall leaves to be missed, at most (docs/decisions/017).
        """
        if not self.losses:
            return MARGIN_SIGMAS, 0.0
        known = np.log(np.array(self.losses))
        lost = _along(known, [math.log(each) for each in LOSSES_KS], math.log(k))
        lost = np.minimum.accumulate([*lost, lost[-1] + math.log(AT_FULL)]).tolist()
        allowed = min(math.log(BY_MARGIN * (1 - recall)), lost[0])
        sigmas = float(np.interp(allowed, lost[::-1], (*SIGMAS, MARGIN_SIGMAS)[::-1]))
        return sigmas, math.exp(allowed) if sigmas < MARGIN_SIGMAS else 0.0

    def widths_for(self, k: int, recall: float) -> np.ndarray:
        """(b,) float32 lists to probe at each knot, interpolated in log k and log (1 − recall); beyond the largest k,
        scaled.
        """
        return _along(self._widths_of(k), HARDNESS, -math.log(1 - recall))

    def recall_of(self, k: int, easy: float, lists: int) -> float:
        """The recall that so many lists find for a query that is so easy: the inverse of widths_for.

        Never more than the highest target: the table knows nothing beyond.
        """
        needed = np.array([np.interp(easy, self.knots, widths) for widths in self._widths_of(k)])
        if lists < needed[0]:
            return float(TARGETS[0] * lists / needed[0])
        return float(1 - math.exp(-np.interp(lists, np.maximum.accumulate(needed), HARDNESS)))

    def _widths_of(self, k: int) -> np.ndarray:
        """(len(TARGETS), b) float32."""
        if k > self.ks[-1]:
            beyond: np.ndarray = self.widths[-1] * np.float32(k / self.ks[-1])
            return beyond
        return _along(self.widths, [math.log(known) for known in self.ks], math.log(k))

    def to_bytes(self) -> bytes:
        """As JSON."""
        fields = {
            "noise": self.noise,
            "ks": self.ks,
            "knots": self.knots.tolist(),
            "widths": self.widths.tolist(),
            "spare": self.spare,
            "scatter": self.scatter.to_json(),
            "losses": self.losses,
            "alike": self.alike,
            "scale": self.scale,
            "within": self.within,
        }
        return json.dumps(fields).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Calibration":
        """Raises CorruptError if the bytes are not a calibration's."""
        try:
            fields = json.loads(data)
            widths = np.asarray(fields["widths"], np.float32)
            knots = np.asarray(fields["knots"], np.float32)
            scatter = Scatter.from_json(fields["scatter"]) if "scatter" in fields else NO_SCATTER
            losses = _checked(np.array(fields.get("losses", ()), np.float64))
            alike, scale = fields.get("alike", 1), float(fields.get("scale", 0.0))
            within = float(fields.get("within", 0.0))
            if not (isinstance(alike, int) and 1 <= alike <= MAX_K):
                raise ValueError(f"{alike} rows cannot be one point")
            if not (0 <= scale < math.inf and 0 <= within < math.inf):
                raise ValueError(f"codes cannot have a scale of {scale}, and lists rivals within {within}")
            ks, noise, spare = tuple(fields["ks"]), fields["noise"], fields["spare"]
            return cls(noise, ks, knots, widths, spare, scatter, losses, alike, scale, within)
        except (ValueError, KeyError, TypeError) as problem:
            raise CorruptError(f"the calibration is damaged: {problem}") from None


def _checked(losses: np.ndarray) -> Losses:
    """Losses as a calibration has them. Raises ValueError if they cannot be."""
    if losses.size and (losses.shape != (len(LOSSES_KS), len(SIGMAS)) or not ((losses > 0) & (losses <= 1)).all()):
        raise ValueError(f"losses of {losses.shape} are not shares of {len(LOSSES_KS)} × {len(SIGMAS)} margins")
    return tuple(tuple(row) for row in losses.tolist())


def _along(rows: np.ndarray, at: list[float], x: float) -> np.ndarray:
    """Linear interpolation of rows[i] known at at[i], flat outside."""
    place = float(np.interp(x, at, range(len(at))))
    low = int(place)
    high = min(low + 1, len(rows) - 1)
    share = np.float32(place - low)
    between: np.ndarray = ((1 - share) * rows[low] + share * rows[high]).astype(np.float32)
    return between


@dataclass(frozen=True, eq=False)
class Plan:
    """One query's effort. Equal only to itself: what depends on it is kept by it."""

    k: int
    depth: int  # the scan's cut is the depth-th best estimate
    keep: int  # how many of the reranked are scored exactly
    margin: float  # z·σ added to an estimate for its upper bound
    knots: np.ndarray  # (b,) float32 how easy queries are
    widths: np.ndarray  # (b,) float32 lists to probe
    most: int  # the largest of widths, at most the number of lists
    lost: float = 0.0  # share of the nearest that the margin is known to pass over
    within: float = 0.0  # as the calibration has it

    def closer(self, more: int) -> "Plan":
        """The same, with so many more scored exactly: for queries whose answer was doubtful."""
        return replace(self, keep=self.keep + more)


def plan_recall(calibration: Calibration, n_lists: int, k: int, recall: float) -> Plan:
    """The effort that reaches a recall. Raises InputError if recall is not between 0 and 1."""
    if not 0 < recall < 1:
        raise InputError(f"recall must lie between 0 and 1, not {recall}; exact=True gives the exact answer")
    sigmas, lost = calibration.margin_for(k, recall)
    widths = np.minimum(calibration.widths_for(k, recall / (1 - lost)), n_lists)
    most = max(1, math.ceil(float(widths.max())))
    keep, margin = keep_for(k, calibration.spare, calibration.alike), sigmas * calibration.noise
    depth = depth_for(k, calibration.alike)
    return Plan(k, depth, keep, margin, calibration.knots, widths, most, lost, calibration.within)


def plan_by_hand(calibration: Calibration, n_lists: int, k: int, nprobe: int, rerank: int | None) -> Plan:
    """The effort an expert names. Raises InputError for numbers that cannot be."""
    if nprobe < 1:
        raise InputError(f"nprobe must be at least 1, not {nprobe}")
    if rerank is not None and rerank < k:
        raise InputError(f"rerank={rerank} is fewer than k={k}")
    most, keep = min(nprobe, n_lists), keep_for(k, calibration.spare, calibration.alike)
    knots, widths = np.zeros(1, np.float32), np.full(1, most, np.float32)
    if rerank is None:
        return Plan(k, depth_for(k, calibration.alike), keep, MARGIN_SIGMAS * calibration.noise, knots, widths, most)
    return Plan(k, rerank, keep, 0.0, knots, widths, most)


def depth_for(k: int, alike: int = 1) -> int:
    """The estimate that the scan's cut is by. The best of many is the best because it is too high: a cut by it passes
    over the nearest more often than one by the third does (docs/decisions/017). Of rows that are alike all estimates
    are too high at once.
    """
    return k + DEEPER * alike


def keep_for(k: int, spare: float = 1.0, alike: int = 1) -> int:
    """How many of the reranked are scored from the source: int8 alone caps recall at .995, and far lower where
    neighbours differ by less than its steps, as rows do that are alike.
    """
    return k + math.ceil(max(3 * spare, k // 4 * min(spare, MUCH_SPARE), alike))

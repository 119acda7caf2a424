"""The best rate at a recall: of all settings that reach it, the fastest. Nothing is interpolated."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEVELS = (0.90, 0.95, 0.98, 0.99)


@dataclass(frozen=True)
class Point:
    """One setting of one index, measured."""

    family: str
    label: str
    setting: str
    recall: float
    qps: float
    bytes_scan: float
    bytes_held: float


def best_at(points: Iterable[Point], recall: float) -> Point | None:
    """The fastest point at or above a recall, or None where nothing reaches it."""
    reaching = [point for point in points if point.recall >= recall]
    return max(reaching, key=lambda point: point.qps, default=None)


def frontier(points: Iterable[Point]) -> list[Point]:
    """Points that no other beats in both, by rising recall."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (-point.recall, -point.qps)):
        if not kept or point.qps > kept[-1].qps:
            kept.append(point)
    return kept[::-1]


def worth_repeating(candidates: Sequence[tuple[float, float]], slack: float) -> list[int]:
    """Indices of (recall, qps) that are within `slack` of their frontier: the rest need no more rounds."""
    kept = []
    for i, (recall, qps) in enumerate(candidates):
        ahead = max((other for reached, other in candidates if reached >= recall), default=0.0)
        if qps * slack >= ahead:
            kept.append(i)
    return kept

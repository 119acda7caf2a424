"""Centroids in groups, so that a row is compared with the members of a few near groups only."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pqdb.panels import Near, Panels
from pqdb.partition.lloyd import kmeans
from pqdb.partition.nearest import nearest_centroids

AGREEMENT = 0.99  # share of sample rows that must get the centroid that comparing all gives
OPENED = (8, 10, 12, 16)  # groups looked into, tried in this order, of about √centroids; more does not pay
_ROUNDS = 8


@dataclass(frozen=True, eq=False, slots=True)
class TwoLevels:
    """Centroids, the groups they fall into, and the means of the groups."""

    heads: Panels
    groups: list[Panels]  # the centroids of each head, by number
    opened: int  # groups a row looks into

    @classmethod
    def build(cls, centroids: NDArray[np.float32], sample: NDArray[np.float32]) -> Self | None:
        """Group centroids (k, d), opening as few groups as sample rows (n, d) need, or None if too many.

        The same arguments give the same groups.
        """
        heads = Panels.of(kmeans(centroids, round(len(centroids) ** 0.5), _ROUNDS, np.random.default_rng(0)))
        group_of = heads.nearest(centroids).labels
        members = [np.flatnonzero(group_of == g).astype(np.int32) for g in range(len(heads.names))]
        groups = [Panels.of(centroids[numbers], numbers) for numbers in members]
        truth = nearest_centroids(sample, centroids)
        for opened in OPENED:
            levels = cls(heads, groups, min(opened, len(groups)))
            if np.mean(levels.nearest(sample).labels == truth) >= AGREEMENT:
                return levels
        return None

    def nearest(self, rows: NDArray[np.float32], *, two: bool = False) -> Near:
        """What each of rows (n, d) is nearest to in the `opened` groups nearest to it, and what comes next."""
        near = Near.nothing(len(rows), two=two)
        for group, own in zip(self.groups, self._rows_by_group(rows), strict=True):
            here = near.of(own)
            group.improve(rows[own], here)
            near.put(own, here)
        return near

    def _rows_by_group(self, rows: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """For each group the rows that look into it."""
        count = len(self.groups)
        scores = self.heads.products(rows) - self.heads.half_norms.ravel()[:count]
        nearest = np.argpartition(scores, count - self.opened, axis=1)[:, count - self.opened :].ravel()
        order = np.argsort(nearest.astype(np.uint16), kind="stable")  # 16 bits go by radix, ten times as fast
        return np.split(order // self.opened, np.cumsum(np.bincount(nearest, minlength=count))[:-1])

"""One generation as a query sees it: router, codebook, calibration. Loaded once, then only read."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pqdb.partition.router import Router, int8_rows
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.pack import group_bytes
from pqdb.search.plan import Calibration, Plan, plan_by_hand, plan_recall
from pqdb.store.blockview import BlockView

LARGEST_ENTRY = {4: 127, 8: 65_535}  # of a table: 7 bits for the in-register kernels, 16 for the plain one


@dataclass(frozen=True)
class Index:
    """Codebook, router and calibration of one generation."""

    generation: int
    codebook: Codebook
    router: Router
    calibration: Calibration
    plans: dict[tuple[object, ...], Plan] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, view: BlockView) -> "Index":
        """Read the current generation's objects. Raises CorruptError if one is damaged."""
        codebook = Codebook.from_bytes(view.object("codebook"))
        router = Router.from_bytes(view.object("router"))
        return cls(view.generation, codebook, router, Calibration.from_bytes(view.object("calibration")))

    @cached_property
    def codewords(self) -> np.ndarray:
        """(d_out, ksub) float32. A writable copy: kernels take a read-only array by a path that costs microseconds."""
        return self.codebook.codewords.copy()

    @cached_property
    def bounds(self) -> np.ndarray:
        """(m + 1,) int32, copied likewise."""
        return self.codebook.bounds.copy()

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The rotation as int8 rows (d_out, dpad) and scales (d_out,); no rows without one."""
        rotation = self.codebook.rotation
        return int8_rows(np.zeros((0, self.codebook.dim), np.float32) if rotation is None else rotation)

    @cached_property
    def top(self) -> int:
        """The largest entry of a table."""
        return LARGEST_ENTRY[self.codebook.nbits]

    @cached_property
    def beta(self) -> float:
        """Weight of ⟨q, r⟩ in a value."""
        return 2.0 if self.router.l2 else 1.0

    @cached_property
    def fixed(self) -> tuple[Any, ...]:
        """What kernels.road takes of a generation, in its order: it is the same for every query."""
        router, book = self.router, self.codebook
        routing = (
            router.l2, router.center, router.rows, router.scales, router.weights, router.offsets, router.centroids
        )  # fmt: skip
        coding = (*self.axes, self.codewords, self.bounds, self.beta, self.top, book.nbits, self.record_bytes)
        return (router.mean, 1 / router.unit, *routing, *coding)

    @cached_property
    def record_bytes(self) -> int:
        """Bytes of a group of 32 codes with their factors."""
        return group_bytes(self.codebook.m, self.codebook.nbits, self.router.l2)

    @cached_property
    def table_shape(self) -> tuple[int, int]:
        """(m, ksub)"""
        return self.codebook.m, self.codebook.ksub

    @cached_property
    def table_type(self) -> type:
        """dtype of table entries."""
        return np.uint8 if self.codebook.nbits == 4 else np.uint16

    def plan(self, k: int, recall: float, nprobe: int | None, rerank: int | None) -> Plan:
        """The effort for a query: by recall, or by hand where nprobe is given."""
        key = (k, recall, nprobe, rerank)
        plan = self.plans.get(key)
        if plan is None:
            n_lists = self.router.n_lists
            if nprobe is None:
                plan = plan_recall(self.calibration, n_lists, k, recall)
            else:
                plan = plan_by_hand(self.calibration, n_lists, k, nprobe, rerank)
            if len(self.plans) > 1000:
                self.plans.clear()
            self.plans[key] = plan
        return plan

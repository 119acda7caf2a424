"""One generation as a query sees it: router, codebook, calibration. Loaded once, then only read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pqdb.config import DEFAULT_RECALL
from pqdb.kernels.pack import GROUP
from pqdb.partition.router import Router, banked, int8_rows
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.pack import group_bytes
from pqdb.quantization.values import Code, ValueCode, code_from_bytes
from pqdb.search.plan import Calibration, Plan, plan_by_hand, plan_recall
from pqdb.store.blockview import BlockView

LARGEST_ENTRY = {4: 127, 8: 65_535}  # of a table: 7 bits for the in-register kernels, 16 for the plain one

MOST_PLANS = 1_000  # that are kept
FINE = 0.2  # a rounding error of so much of another one adds 2 % to it


@dataclass(frozen=True)
class Index:
    """Codebook, router and calibration of one generation."""

    generation: int
    codebook: Code
    router: Router
    calibration: Calibration
    plans: dict[tuple[object, ...], Plan] = field(default_factory=dict, init=False, repr=False)
    molds: dict[Plan, Any] = field(default_factory=dict, init=False, repr=False)  # search.frame keeps its values here

    @classmethod
    def load(cls, view: BlockView) -> "Index":
        """Read the current generation's objects. Raises CorruptError if one is damaged."""
        codebook = code_from_bytes(view.object("codebook"))
        router = Router.from_bytes(view.object("router"))
        return cls(view.generation, codebook, router, Calibration.from_bytes(view.object("calibration")))

    @cached_property
    def centroids(self) -> np.ndarray:
        """(n_lists, d) float32 to value the probed centroids exactly; none where int8 is good enough.

        Good enough is a rounding error under a fifth of the error of the codes' estimates: most data. Where clusters
        are tight and far apart it is not, and lists of one cluster would be compared by their rounding.
        """
        router = self.router
        error = self.calibration.noise * router.apart
        fine_enough = isinstance(self.codebook, Codebook) and router.rounding() < FINE * error
        return router.centroids[:0] if fine_enough else router.centroids

    @cached_property
    def usual_scales(self) -> np.ndarray:
        """(n_lists,) float32 scale that codes usually have, list by list; none where that was not measured, nor of
        float16, whose scale is always one.
        """
        spreads, scale = self.router.spreads, self.calibration.scale
        halves = isinstance(self.codebook, ValueCode) and self.codebook.form == "float16"
        if spreads is None or scale == 0 or halves:
            return np.zeros(0, np.float32)
        usual: np.ndarray = np.sqrt(spreads) * np.float32(scale)
        return usual

    @property
    def book(self) -> Codebook:
        """The codebook, where codes are looked up in tables."""
        assert isinstance(self.codebook, Codebook)
        return self.codebook

    @cached_property
    def codewords(self) -> np.ndarray:
        """(d_out, ksub) float32. A writable copy: kernels take a read-only array by a path that costs microseconds."""
        return self.book.codewords.copy()

    @cached_property
    def bounds(self) -> np.ndarray:
        """(m + 1,) int32, copied likewise."""
        return self.book.bounds.copy()

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The rotation as int8 rows in banks of 64 and scales (d_out,); no bank without one."""
        rotation = self.book.rotation
        rows, scales = int8_rows(np.zeros((0, self.book.dim), np.float32) if rotation is None else rotation)
        return banked(rows[:, : self.book.dim]), scales

    @cached_property
    def top(self) -> int:
        """The largest entry of a table."""
        return LARGEST_ENTRY[self.book.nbits]

    @cached_property
    def beta(self) -> float:
        """Weight of ⟨q, r⟩ in a value."""
        return 2.0 if self.router.l2 else 1.0

    @cached_property
    def record_bytes(self) -> int:
        """Bytes of 32 codes with their factors."""
        if isinstance(self.codebook, ValueCode):
            return GROUP * self.codebook.code_bytes
        return group_bytes(self.codebook.m, self.codebook.nbits, self.router.l2)

    @property
    def record_shape(self) -> tuple[int, int, int]:
        """As kernels.places has it: bytes of 32 codes with their factors, where the scales begin in them, and bytes of
        one code where they are not grouped.
        """
        if isinstance(self.codebook, ValueCode):
            return 0, -1, self.codebook.code_bytes
        return self.record_bytes, GROUP * self.codebook.m * self.codebook.nbits // 8, 0

    @cached_property
    def table_shape(self) -> tuple[int, int]:
        """(m, ksub)"""
        return self.book.m, self.book.ksub

    @cached_property
    def table_type(self) -> type:
        """dtype of table entries."""
        return np.uint8 if self.book.nbits == 4 else np.uint16

    def plan(self, k: int, recall: float | None, nprobe: int | None, rerank: int | None) -> Plan:
        """The effort for a query: by recall (DEFAULT_RECALL if nothing is said), or by hand where nprobe is given."""

        def make() -> Plan:
            n_lists = self.router.n_lists
            if nprobe is not None:
                return plan_by_hand(self.calibration, n_lists, k, nprobe, rerank)
            return plan_recall(self.calibration, n_lists, k, DEFAULT_RECALL if recall is None else recall)

        return self.planned((k, recall, nprobe, rerank), make)

    def planned(self, terms: tuple[object, ...], make: Callable[[], Plan]) -> Plan:
        """The plan for these terms, made where it is not known."""
        plan = self.plans.get(terms)
        if plan is None:
            if len(self.plans) >= MOST_PLANS:
                self.plans.clear()
                self.molds.clear()
            plan = self.plans[terms] = make()
        return plan

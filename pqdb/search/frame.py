"""A plan's and a snapshot's part of every query, packed once for kernels.road and kept until either changes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pqdb.kernels.cells import SLACK
from pqdb.kernels.frame import FRAME
from pqdb.metric import limits
from pqdb.search.fresh import FreshCodes
from pqdb.search.index import Index
from pqdb.search.lists import Passing
from pqdb.search.plan import Plan
from pqdb.search.scratch import Layout
from pqdb.search.snapshot import Snapshot
from pqdb.store.layout import META_BYTES, META_ROWS

MOST_RECORDS = 8  # of one selection


@dataclass(frozen=True, slots=True)
class Among:
    """The rows that pass a filter, and how lists are chosen among which to look for them."""

    passing: Passing
    aim: float = 0.0  # share of the nearest to look for; 0: in the lists of the plan, 1 or more: in all that hold any
    limit: float = np.inf  # groups: a query that would have to scan more of them scans none and finds nothing


class Packed:
    """A record of kernels.frame.FRAME, and where it is: asking for an address takes a microsecond."""

    __slots__ = ("array", "at")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array  # (1,)
        self.at = array.ctypes.data


class Mold:
    """What a plan and its index give each of their frames, packed once: a search behind every write needs a new one."""

    __slots__ = ("arrays", "frame", "index", "layouts", "plan", "record")

    def __init__(self, index: Index, plan: Plan) -> None:
        self.index, self.plan = index, plan
        self.record = np.zeros(1, FRAME)
        self.arrays = _pack(self.record, {**_of_index(index), **_of_plan(plan)})
        self.layouts: dict[int, Layout] = {}
        self.frame: Frame | None = None  # the newest


class Frame:
    """One record of kernels.frame.FRAME, and the arrays its addresses point into."""

    __slots__ = (
        "_arrays", "_layouts", "blocks", "capacity", "coded", "compared", "config", "index", "plan", "points", "record"
    )  # fmt: skip

    def __init__(self, snapshot: Snapshot, mold: Mold) -> None:
        self.points, self.blocks = snapshot.points.state, snapshot.blocks.state  # what it was packed for
        self.config, self.index, self.plan = snapshot.config, mold.index, mold.plan
        self.capacity = int(snapshot.blocks.watermark) + 65_536  # candidates a query can have at most, and some
        self.coded = snapshot.coded
        self.compared = snapshot.n_rows - snapshot.compared_from  # rows that every query is compared with
        self.record = Packed(mold.record.copy())
        mine = _pack(self.record.array, {**_of_snapshot(snapshot), **_of_fresh(snapshot.coded)})
        self._arrays = mold.arrays, mine
        self._layouts = mold.layouts

    def layout_of(self, n: int) -> Layout:
        """How the scratch of n queries lies."""
        layout = self._layouts.get(n)
        if layout is None:
            layout = self._layouts[n] = Layout.of(self.record.array[0], n)
        return layout

    def fits(self, snapshot: Snapshot) -> bool:
        """Whether it was packed for this state of things."""
        same = self.points is snapshot.points.state and self.blocks is snapshot.blocks.state
        return same and self.coded is snapshot.coded

    def record_of(self, among: Among) -> Packed:
        """The record for a search among some rows; it holds none of `among`'s arrays."""
        passing, key = among.passing, (self, among.aim, among.limit)
        record = passing.records.get(key)
        if record is None:
            record = Packed(self.record.array.copy())
            how = {"aim": among.aim, "limit": among.limit, "most_missed": most_missed(self.plan.k, among)}
            for name, value in {**_of_passing(passing), **how}.items():
                record.array[name] = value
            if len(passing.records) > MOST_RECORDS:
                passing.records.clear()
            passing.records[key] = record
        return record


def most_missed(k: int, among: Among) -> float:
    """Rows that may be expected in lists that are not scanned, above the k-th value found."""
    return float(SLACK) * (1 - among.aim) * k


def frame_of(snapshot: Snapshot, index: Index, plan: Plan) -> Frame:
    """The frame of a plan for this snapshot: the one kept, if it still fits."""
    mold: Mold | None = index.molds.get(plan)
    if mold is None:
        mold = index.molds[plan] = Mold(index, plan)
    frame = mold.frame
    if frame is None or not frame.fits(snapshot):
        for other in list(index.molds.values()):
            if other.frame is not None and not other.frame.fits(snapshot):
                other.frame = None  # it holds what is known of a whole commit
        frame = mold.frame = Frame(snapshot, mold)
    return frame


def forget_others(frames: dict[Any, Frame], snapshot: Snapshot) -> None:
    """Let go of frames that were packed for another state than that of a snapshot, likewise. All of them are of one, so
    the first tells.
    """
    for frame in list(frames.values())[:1]:  # (other threads put some in meanwhile)
        if not frame.fits(snapshot):
            frames.clear()


def _pack(record: np.ndarray, values: dict[str, Any]) -> list[np.ndarray]:
    """Put numbers and addresses of arrays into fields of a record (1,); returns the arrays: they are to outlive it."""
    arrays = []
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value)
            arrays.append(array)
            record[name] = array.ctypes.data
        else:
            record[name] = value
    return arrays


def _of_index(index: Index) -> dict[str, Any]:
    router, book = index.router, index.book
    axes, axis_scales = index.axes
    scatter = index.calibration.scatter
    return {
        "dim": book.dim,
        "l2": router.l2,
        "beta": index.beta,
        "unit": router.unit,
        "mean_at": router.mean,
        "n_lists": router.n_lists,
        "n_banks": len(router.banks),
        "bank_steps": router.banks.shape[1],
        "center_at": router.center,
        "banks_at": router.banks,
        "scales_at": router.scales,
        "weights_at": router.weights,
        "n_leads": len(router.leads),
        "leads_at": router.leads,
        "offsets_at": router.offsets,
        "n_usual": len(index.usual_scales),
        "usual_at": index.usual_scales,
        "n_fine": len(router.fine),
        "fine_at": router.fine,
        "fine_scales_at": router.fine_scales,
        "n_centroids": len(index.centroids),
        "centroids_at": index.centroids,
        "axis_banks": len(axes),
        "d_out": len(index.codewords),
        "axes_at": axes,
        "axis_scales_at": axis_scales,
        "m": book.m,
        "ksub": book.ksub,
        "nbits": book.nbits,
        "record_bytes": index.record_bytes,
        "dpad": router.dpad,
        "top": index.top,
        "codewords_at": index.codewords,
        "word_bounds_at": index.bounds,
        "n_shares": scatter.shares.shape[1],
        "shares_at": scatter.shares,
        "low": scatter.low,
        "step": scatter.step,
        "shift": scatter.shift,
    }


def _of_passing(passing: Passing) -> dict[str, Any]:
    listed = passing.listed
    return {
        "mean_groups": listed.mean_groups,
        "kinds_at": listed.kinds.ctypes.data,
        "lengths_at": listed.kind_lengths.ctypes.data,
        "passing_at": passing.rows.ctypes.data,
        "groups_at": passing.groups.ctypes.data,
        "n_words": len(passing.words),
        "words_at": passing.words.ctypes.data,
        "firsts_at": listed.firsts.ctypes.data,
    }


def _of_plan(plan: Plan) -> dict[str, Any]:
    return {
        "margin": plan.margin,
        "within": plan.within,
        "n_knots": len(plan.knots),
        "knots_at": plan.knots,
        "widths_at": plan.widths,
        "most": plan.most,
        "depth": plan.depth,
        "k": plan.k,
        "keep": plan.keep,
    }


def _of_fresh(coded: FreshCodes | None) -> dict[str, Any]:
    if coded is None:
        return {"n_coded": 0}
    return {
        "n_coded": len(coded.rows),
        "coded_at": coded.records,
        "coded_rows_at": coded.rows,
        "coded_starts_at": coded.starts,
    }


def _of_snapshot(snapshot: Snapshot) -> dict[str, Any]:
    config, points, blocks = snapshot.config, snapshot.points, snapshot.blocks
    normalise, least, largest = limits(config.metric)
    return {
        "normalise": normalise,
        "least": least,
        "largest": largest,
        "codes_at": blocks.codes,
        "counts_at": blocks.counts,
        "rerank_at": blocks.rerank,
        "kind": snapshot.source_kind,
        "by": snapshot.by,
        "n_runs": len(points.runs),
        "runs_at": points.runs,
        "rows_per_run": snapshot.rows_per_run,
        "row_bytes": snapshot.row_bytes,
        "rescore": config.source is not None,
        "watermark": snapshot.fresh_from,
        "fresh": snapshot.compared_from,
        "n_rows": snapshot.n_rows,
        "n_pages": len(points.meta),
        "meta_at": points.meta,
        "rows_per_page": META_ROWS,
        "record_size": META_BYTES,
        "record_last": META_BYTES - 8,
    }

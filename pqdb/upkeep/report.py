"""What a collection is and holds, in numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pqdb.config import TRAIN_ROWS, Flat
from pqdb.quantization.pack import list_bytes, rerank_bytes, value_list_bytes
from pqdb.quantization.values import Code, ValueCode
from pqdb.search.snapshot import Snapshot
from pqdb.store.blocks import BlockStore
from pqdb.store.points import PointStore
from pqdb.upkeep.rollback import previous
from pqdb.upkeep.watch import Watch, about_of, imbalance


def report(snapshot: Snapshot, points: PointStore, blocks: BlockStore) -> dict[str, Any]:
    """Counts, state and bytes; `bytes` says what the searched tiers take in the map, `disk` what the files take."""
    view, index = snapshot.points, snapshot.index
    sizes = _tier_bytes(snapshot)
    return {
        "points": view.n_live,
        "indexed": view.n_live if index is None else len(view.live_rows(0, snapshot.fresh_from)),
        "fresh": snapshot.n_rows - snapshot.fresh_from,
        "dead_rows": (view.n_rows if snapshot.config.source is None else _held_rows(snapshot)) - view.n_live,
        "sequence": view.seq,
        "status": _status(snapshot),
        "generation": snapshot.blocks.generation,
        "previous": previous(blocks.generations(), snapshot.blocks.generation),
        "lists": index.router.n_lists if index else 0,
        "config": snapshot.config.to_dict(),
        "drift": _drift(snapshot),
        "hot_bytes": sizes["codes"],
        "bytes": sizes,
        "disk": {"points": points.stats(), "index": blocks.stats()},
    }


def together(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Of a collection's vectors, what there is to say of all: sums, and what is worst."""
    parts = list(facts.values())
    tiers = {tier for part in parts for tier in part["bytes"]}
    return {
        "indexed": sum(part["indexed"] for part in parts),
        "fresh": max(part["fresh"] for part in parts),
        "status": "ready" if all(part["status"] == "ready" for part in parts) else "training",
        "generation": max(part["generation"] for part in parts),
        "previous": None,
        "lists": sum(part["lists"] for part in parts),
        "drift": None,
        "hot_bytes": sum(part["hot_bytes"] for part in parts),
        "bytes": {tier: sum(part["bytes"][tier] for part in parts) for tier in sorted(tiers)},
    }


def _drift(snapshot: Snapshot) -> dict[str, Any] | None:
    """How well the generation fits the points that came since it was trained. None before the first training.

    error, code_error: of the codes of rows that came lately, in units of what it was at training (code_error: whatever
    the length of what is coded); imbalance of the lists, 1 if all are alike; recall@10 as it was measured last.
    """
    if snapshot.index is None:
        return None
    about, watch = about_of(snapshot.blocks), Watch.load(snapshot.blocks)
    return {
        "inserted": watch.inserted,
        "error": _ratio(watch.error, about.error),
        "code_error": _ratio(watch.code_error, about.code_error),
        "imbalance": round(imbalance(snapshot.blocks.counts), 3),
        "asked": watch.asked,
        "recall": watch.recall,
    }


def _ratio(now: float | None, then: float | None) -> float | None:
    return None if now is None or not then else round(now / then, 3)


def _tier_bytes(snapshot: Snapshot) -> dict[str, int]:
    """codes: codes, factors and rows, padding of groups included; rerank rows; shared: codebook, centroids and their
    int8.
    """
    index = snapshot.index
    source = _held_rows(snapshot) * snapshot.row_bytes
    if index is None:
        return {"codes": 0, "rerank": 0, "shared": 0, "source": source}
    book, router = index.codebook, index.router
    counts, tier = snapshot.blocks.counts.tolist(), snapshot.config.reranked_values
    return {
        "codes": sum(_code_bytes(book, count, router.l2) for count in counts),
        "rerank": 0 if tier is None else sum(rerank_bytes(count, book.dim, tier) for count in counts),
        "shared": router.centroids.nbytes + router.banks.nbytes + len(book.to_bytes()),
        "source": source,
    }


def _code_bytes(code: Code, count: int, l2: bool) -> int:
    if isinstance(code, ValueCode):
        return value_list_bytes(count, code.dim, code.form)
    return list_bytes(count, code.m, code.nbits, l2)


def _held_rows(snapshot: Snapshot) -> int:
    """Rows, alive or dead, of the source runs that are still there."""
    runs, size = snapshot.points.runs, snapshot.rows_per_run
    if len(runs) == 0:
        return 0
    unfilled = len(runs) * size - snapshot.points.n_rows if runs[-1] else 0
    return int(np.count_nonzero(runs)) * size - unfilled


def _status(snapshot: Snapshot) -> str:
    """ready: nothing is due; training: codes are to be learned."""
    if snapshot.index is None and not isinstance(snapshot.config.quantization, Flat):
        return "training" if snapshot.points.n_live >= TRAIN_ROWS else "ready"
    return "ready"

"""What a collection is and holds, in numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pqdb.config import TRAIN_ROWS, Flat
from pqdb.quantization.pack import list_bytes, rerank_bytes, value_list_bytes
from pqdb.quantization.values import Code, ValueCode
from pqdb.search.snapshot import Snapshot
from pqdb.store.blocklayout import HEADER_BYTES
from pqdb.store.blocks import BlockStore
from pqdb.store.layout import value_pages
from pqdb.store.points import PointStore
from pqdb.store.resident import allocated_bytes, anonymous_bytes
from pqdb.upkeep.held import held_bytes
from pqdb.upkeep.rollback import previous
from pqdb.upkeep.watch import Watch, about_of, imbalance

TIERS = ("codes", "rerank", "shared", "source")
NOTHING_BESIDE: dict[str, Any] = {"file": 0, "free": 0, "databases": {}, "meta": 0}


def report(snapshot: Snapshot, points: PointStore, blocks: BlockStore) -> dict[str, Any]:
    """Counts, state and bytes; `bytes` says what the searched tiers take in the map."""
    view, index = snapshot.points, snapshot.index
    sizes = _tier_bytes(snapshot)
    return {
        "points": view.n_live,
        "indexed": view.n_live if index is None else view.alive_before(snapshot.fresh_from),
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
        "folder": points.path.parent.name,
    }


def memory(points: PointStore, blocks: BlockStore, holders: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Bytes in memory. mapped: of both files, those that are there now, which the kernel takes back when it needs to;
    held: of the arrays that objects lead to; process: all anonymous memory, of this collection or not. None: unknown.
    """
    return {
        "mapped": {"points": points.resident(), "index": blocks.resident()},
        "held": held_bytes(holders),
        "process": anonymous_bytes(),
    }


def disk(snapshot: Snapshot, points: PointStore, blocks: BlockStore) -> dict[str, Any]:
    """Of both files, the bytes of every table, of free pages, and LMDB's own; and what lies beside them: locks, what a
    compaction or an import is at.
    """
    truth, index = points.stats(), blocks.stats()
    beside = allocated_bytes(points.path.parent, points.data_file.name)
    codes, rerank = _block_bytes(snapshot)
    kinds = {"codes": codes, "rerank": rerank, "others": index["databases"]["blocks"] - codes - rerank}
    return {
        "points": truth,
        "index": {**index, "blocks": kinds},
        "beside": {"file": beside, "free": 0, "databases": {}, "meta": 0},
    }


def _block_bytes(snapshot: Snapshot) -> tuple[int, int]:
    """Whole pages of the current generation's blocks: codes and rerank rows. What else there is belongs to the
    generation before, or to the tree of keys.
    """
    index = snapshot.index
    if index is None:
        return 0, 0
    book, l2, tier = index.codebook, index.router.l2, snapshot.config.reranked_values
    counts = [count for count in snapshot.blocks.counts.tolist() if count]
    codes = sum(value_pages(HEADER_BYTES + _code_bytes(book, count, l2)) for count in counts)
    if tier is None:
        return codes, 0
    return codes, sum(value_pages(HEADER_BYTES + rerank_bytes(count, book.dim, tier)) for count in counts)


def together(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Of a collection's vectors, what there is to say of all: sums, and what is worst."""
    parts = list(facts.values())
    return {
        "indexed": sum(part["indexed"] for part in parts),
        "fresh": max((part["fresh"] for part in parts), default=0),
        "status": "ready" if all(part["status"] == "ready" for part in parts) else "training",
        "generation": max((part["generation"] for part in parts), default=0),
        "previous": None,
        "lists": sum(part["lists"] for part in parts),
        "drift": None,
        "hot_bytes": sum(part["hot_bytes"] for part in parts),
        "bytes": {tier: sum(part["bytes"][tier] for part in parts) for tier in TIERS},
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
    counts, lists = (each.tolist() for each in np.unique(snapshot.blocks.counts, return_counts=True))
    lengths, tier = list(zip(counts, lists, strict=True)), snapshot.config.reranked_values
    return {
        "codes": sum(times * _code_bytes(book, count, router.l2) for count, times in lengths),
        "rerank": 0 if tier is None else sum(times * rerank_bytes(count, book.dim, tier) for count, times in lengths),
        "shared": router.centroids.nbytes + router.banks.nbytes + router.fine.nbytes + len(book.to_bytes()),
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

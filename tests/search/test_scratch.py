"""The scratch of a block of queries: its pieces are as large as the kernels take them to be."""

from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.kernels.room import LINE, PIECES
from pqdb.metric import WITH_CODES, Metric
from pqdb.search import frame, scratch
from pqdb.threads import on_this_thread
from tests.search.conftest import Make

GUARD, MARK = 256, 0xAB  # bytes between pieces, and what is in them
K = 10


def guarded(of: Any) -> Any:
    """Layout.of, with marked bytes behind each piece."""

    def layout_of(record: np.void, n: int) -> scratch.Layout:
        made = of(record, n)
        apart = np.arange(len(PIECES), dtype=np.uint64) * np.uint64(GUARD)
        return scratch.Layout(made.offsets + apart, made.size + len(PIECES) * GUARD)

    return layout_of


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> scratch.Scratch:
    """This thread's scratch, with marked bytes behind each piece of whatever layout it takes on."""
    room = scratch.Scratch.room

    def marked(self: scratch.Scratch, layout: scratch.Layout) -> int:
        new = self._layout is not layout
        at = room(self, layout)
        if new:
            self._pieces[:] = MARK
        return at

    monkeypatch.setattr(scratch.Layout, "of", guarded(scratch.Layout.of))
    monkeypatch.setattr(scratch.Scratch, "room", marked)
    kept = scratch.Scratch(70_000)
    monkeypatch.setattr(scratch._kept, "free", [kept])
    return kept


def spoiled(held: scratch.Scratch) -> list[str]:
    """Pieces that were written beyond their end."""
    layout = held._layout
    assert layout is not None
    first = int(held._record[f"{PIECES[0]}_at"][0]) - held._pieces.ctypes.data
    ends = [first + int(end) for end in [*layout.offsets[1:].tolist(), layout.size]]
    behind = [held._pieces[end - GUARD : end] for end in ends]
    return [name for name, guard in zip(PIECES, behind, strict=True) if (guard != MARK).any()]


@pytest.mark.parametrize("metric", WITH_CODES)
@pytest.mark.parametrize("quantization", [pqdb.PQ(), pqdb.PQ(m=6, nbits=8), pqdb.SQ("1bit")], ids=str)
def test_nothing_is_written_beyond_a_piece(
    make: Make, metric: Metric, quantization: pqdb.PQ | pqdb.SQ, held: scratch.Scratch
) -> None:
    """By a query alone, one with a filter, and a block."""
    made = make(metric, quantization=quantization)
    things, one = made.collection, made.raw[0]
    things._index, things._frames = (0, 0, None, None), {}  # frames with layouts of ours
    odd = {"must": [{"has_id": list(range(1, 1_500, 2))}]}
    with on_this_thread():
        for asked in ({"query": one}, {"query": one, "filter": odd}, {"query": made.raw}, {"query": made.raw[:5]}):
            things.search(**asked, k=K)
            assert spoiled(held) == []
    things._index, things._frames = (0, 0, None, None), {}


def test_pieces_begin_with_a_cache_line(make: Make) -> None:
    made = make("cosine")
    made.collection.search(made.raw[0], K)
    framed = made.collection._frames[K, None, None, None]
    for n in (1, 7, 64):
        layout = framed.layout_of(n)
        assert layout is framed.layout_of(n)
        assert (layout.offsets % np.uint64(LINE) == 0).all()
        assert layout.size >= layout.offsets[-1]
        fresh = scratch.Scratch(1_000)
        assert fresh.room(layout) == fresh._record.ctypes.data
        assert all(int(fresh._record[f"{name}_at"][0]) % LINE == 0 for name in PIECES)
    assert isinstance(framed, frame.Frame)


@pytest.mark.parametrize("rerank", [None, 50])
def test_a_batch_by_hand_among_fewer_points_than_are_asked_for(make: Make, rerank: int | None) -> None:
    """The plan is made for k, the search for the points that pass."""
    made = make("cosine")
    few = {"must": [{"has_id": [1, 2, 3]}]}
    found = made.collection.search(made.raw[:4], K, nprobe=5, rerank=rerank, filter=few)
    assert all(sorted(hits.ids) == [1, 2, 3] for hits in found)
    faint = made.raw[0] * np.float32(1e-25)  # a length that is prepared on its own
    assert sorted(made.collection.search(faint, K, nprobe=5, rerank=rerank, filter=few).ids) == [1, 2, 3]


def test_a_search_within_a_search_has_scratch_of_its_own(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a signal's handler would begin one: here while the outer one lays its scratch out."""
    made = make("cosine")
    things, (one, other) = made.collection, made.raw[:2]
    expected, inner = things.search(one, K).ids, things.search(other, K, recall=0.8).ids
    room, found = scratch.Scratch.room, []

    def interrupted(self: scratch.Scratch, layout: scratch.Layout) -> np.ndarray:
        record = room(self, layout)
        if not found:
            found.append(None)
            found[0] = things.search(other, K, recall=0.8).ids
            assert self is not scratch._kept.free[-1]
        return record

    monkeypatch.setattr(scratch.Scratch, "room", interrupted)
    with on_this_thread():
        assert things.search(one, K).ids == expected
    assert found == [inner]
    assert len(scratch._kept.free) <= 2

"""The bench of codes: what it records of a collection, its table and its plot."""

from pathlib import Path

import numpy as np
import pytest

import pqdb
from bench import codes, machine
from bench.data import Dataset, distances_of
from bench.plots import draw_codes
from tests.compiled import compiled
from tests.data import clustered, queries_near


@pytest.fixture
def data() -> Dataset:
    """A set just large enough for codes."""
    rows = clustered(5_200, 16, seed=1)
    queries = queries_near(rows, 20, seed=2)
    far = ((rows[None] - queries[:, None]) ** 2).sum(axis=2)
    neighbors = np.argsort(far, axis=1)[:, :10]
    distances = distances_of(rows, queries, neighbors, "l2")
    return Dataset("made", Path("made.hdf5"), "l2", rows, queries, neighbors, distances)


@compiled
def test_bytes_and_recall_of_each_kind_of_code(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [codes.Kind("short", {}), codes.Kind("bytes", {"quantization": pqdb.SQ("int8"), "source": None})]
    monkeypatch.setattr(codes, "kinds", lambda: kinds)
    monkeypatch.setattr("os.sched_setaffinity", lambda *_: None)
    short, large = codes.measure(data, rounds=0)
    assert short["bytes scanned"] < large["bytes scanned"]
    assert (short["bytes reranked"], large["bytes reranked"]) == (72, 0)
    assert (short["bytes source"], large["bytes source"]) == (64, 0)
    assert list(short["recall by rerank"].values()) == sorted(short["recall by rerank"].values())
    assert large["recall by rerank"][10] > short["recall by rerank"][10]
    assert short["recall"] > 0.8
    assert short["qps"] is None
    lines = codes.table([short, large])
    assert len(lines) == 4
    assert all(line.count("|") == lines[0].count("|") for line in lines)
    about = {"name": "made", "n": data.n, "dim": data.dim, "metric": data.metric}
    doc = {"machine": machine.card(), "data": about, "asked": 0.95, "k": 10, "kinds": [short, large]}
    assert draw_codes(doc, tmp_path / "plot.png").stat().st_size > 10_000


def test_every_kind_is_one_that_can_be_made() -> None:
    names = [kind.name for kind in codes.kinds()]
    assert len(set(names)) == len(names)
    for kind in codes.kinds():
        pqdb.CollectionConfig(384, **kind.options)

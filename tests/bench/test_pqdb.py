"""Our own engine in the harness and in the smaller benches, on a set small enough to be searched exactly."""

import os

import pytest

pytest.importorskip("h5py", reason="the benches need the extra `bench`")

from bench.conductor import Hall
from bench.data import load, synthetic
from bench.engines import module_of
from bench.engines.base import Spec
from bench.rounds import Plan, Run

pqdb = pytest.importorskip("pqdb")
pytestmark = pytest.mark.skipif(not hasattr(pqdb, "open"), reason="the front door is not built yet")


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_pqdb_runs_beside_the_yardstick(tmp_path, metric):
    path = synthetic(tmp_path, n=600, dim=16, queries=20, metric=metric)
    data = load(path)
    ours = Spec("pqdb", "pqdb", "pqdb", {}, [{}, {"recall": 0.95}])
    exact = Spec("exact", "exact", "exact", {}, [{}])
    with Hall() as hall:
        outcome = Run(data, Plan(cores=sorted(os.sched_getaffinity(0)), rounds=1), hall, print).measure(
            [ours, exact]
        )
    assert outcome.skips == []
    assert all(trial.recall >= 0.95 for trial in outcome.trials)
    assert all(trial.batch_seconds for trial in outcome.trials)


def test_bytes_are_counted_for_an_indexed_collection(tmp_path):
    path = synthetic(tmp_path, n=6_000, dim=16, queries=5)
    data = load(path)
    engine = module_of("pqdb").build(Spec("pqdb", "pqdb", "pqdb", {}, [{}]))
    engine.fit(data.train, data.metric)
    held = engine.get_memory_usage()
    engine.close()
    assert 0 < held.scan < 4 * data.dim
    assert held.rerank > 0


def test_the_fixed_cost_is_measured_and_kept(tmp_path, capsys):
    from bench import fixed_cost

    fixed_cost.main(["--dims", "16", "--rows", "300", "--queries", "50", "--out", str(tmp_path)])
    assert "| 16-d, one list |" in capsys.readouterr().out
    assert len(list(tmp_path.glob("fixed-cost-*.json"))) == 1


def test_the_promise_is_measured_on_fresh_and_on_seasoned_collections(tmp_path):
    from bench import promise

    data = load(synthetic(tmp_path, n=500, dim=16, queries=20))
    found = promise.measure(data, asked=(0.9,), ks=(1, 10), after=10)
    assert [(row["queries seen"], row["k"]) for row in found] == [(0, 1), (0, 10), (10, 1), (10, 10)]
    assert all(row["measured strict"] >= 0.9 for row in found)


def test_building_and_reopening_happen_in_processes_of_their_own(tmp_path, capsys):
    from bench import build

    path = synthetic(tmp_path, n=500, dim=16, queries=5)
    build.main([str(path), "--repeat", "1", "--out", str(tmp_path)])
    told = capsys.readouterr().out
    assert "| rows | 500 |" in told
    assert "open and first answer s" in told

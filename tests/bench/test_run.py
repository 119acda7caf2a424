"""The whole harness on a tiny made set: processes, rounds, recall, skips, results, tables, plots."""

import os

import pytest

pytest.importorskip("h5py", reason="the benches need the extra `bench`")
pytest.importorskip("matplotlib", reason="the benches need the extra `bench`")

import h5py

import bench.__main__ as command
from bench import results
from bench.conductor import Hall, Skip, WorkerError
from bench.data import load, synthetic
from bench.engines import DEFAULT, MODULES, module_of
from bench.engines.base import Spec, Sweep
from bench.rounds import BATCH_ROUNDS, Plan, Run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return synthetic(tmp_path_factory.mktemp("set"), n=400, dim=16, queries=25)


@pytest.fixture
def cores():
    return sorted(os.sched_getaffinity(0))


def _run(path, specs, plan, say=print):
    with Hall() as hall:
        return Run(load(path), plan, hall, say).measure(specs)


def test_the_yardstick_has_recall_one_in_every_round(made, cores):
    specs = module_of("exact").specs(Sweep("exact", 400, 16, "cosine", "quick"))
    outcome = _run(made, specs, Plan(cores=cores, rounds=2))
    (trial,) = outcome.trials
    assert (trial.recall, trial.recall_strict) == (1.0, 1.0)
    assert (len(trial.times), len(trial.batch_seconds)) == (2, 2 * BATCH_ROUNDS)
    assert all(len(times) == 25 for times in trial.times)
    assert outcome.facts[trial.spec.label]["bytes"]["scan"] == 64.0
    assert outcome.skips == []


def test_an_engine_that_cannot_build_is_skipped_aloud_and_the_others_go_on(made, cores):
    broken = Spec("turbovec", "turbovec", "broken", {"bits": "none"}, [{}])
    good = module_of("exact").specs(Sweep("exact", 400, 16, "cosine", "quick"))
    said = []
    outcome = _run(made, [broken, *good], Plan(cores=cores, rounds=1, batch=False), said.append)
    assert [trial.spec.engine for trial in outcome.trials] == ["exact"]
    assert [skip.label for skip in outcome.skips] == ["broken"]
    assert any("SKIPPED broken" in line for line in said)


def test_a_worker_that_dies_is_an_error_not_a_wait():
    spec = module_of("exact").specs(Sweep("exact", 1, 1, "cosine", "quick"))[0]
    with Hall() as hall:
        desk = hall.start(spec)
        desk.process.kill()
        with pytest.raises(WorkerError, match="its process died"):
            desk.ask("close")


def test_a_package_that_is_missing_is_a_skip_with_its_name(monkeypatch):
    spec = Spec("scann", "ScaNN", "x", {}, [{}])
    monkeypatch.setattr("bench.engines.scann_.find_spec", lambda name: None)
    with pytest.raises(Exception, match="scann is not installed"):
        module_of("scann").build(spec)


def test_a_skip_inside_a_worker_reaches_the_conductor_as_a_value(made, cores):
    spec = Spec("scann", "ScaNN", "elsewhere", {}, [{}])
    with Hall() as hall:
        desk = hall.start(spec)
        found = desk.ask("build", spec, made, None, 1)
    if isinstance(found, Skip):
        assert "scann" in found.reason
    else:
        pytest.fail(f"built without any build arguments: {found}")


@pytest.mark.parametrize("engine", MODULES)
@pytest.mark.parametrize("effort", ["quick", "standard", "full"])
@pytest.mark.parametrize(
    ("n", "dim", "metric"), [(51_592, 384, "cosine"), (119_743, 128, "l2"), (1_000_000, 384, "cosine")]
)
def test_every_engine_proposes_indexes_with_labels_of_their_own(engine, effort, n, dim, metric):
    specs = module_of(engine).specs(Sweep(engine, n, dim, metric, effort))
    assert specs
    assert all(spec.settings and spec.engine == engine for spec in specs)
    assert len({spec.label for spec in specs}) == len(specs)


def test_an_unknown_engine_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"no engine 'annoy'; there are pqdb, faiss"):
        module_of("annoy")
    assert set(DEFAULT) < set(MODULES)


def test_the_command_leaves_a_table_plots_and_every_raw_number(tmp_path, capsys, monkeypatch):
    path = synthetic(tmp_path, n=300, dim=8, queries=10, metric="l2")
    monkeypatch.setattr(command, "_HERE", tmp_path)
    out = tmp_path / "out"
    command.main([str(path), "--engines", "exact", "--rounds", "2", "--out", str(out), "--publish", "tiny"])
    text = capsys.readouterr().out
    assert "| exact |" in text
    (kept,) = out.glob("*.json")
    doc = results.read(kept)
    assert doc["trials"][0]["recall"] == 1.0
    assert len(doc["trials"][0]["qps of each round"]) == 2
    assert {"cpu", "flags", "commit", "date", "versions"} <= set(doc["machine"])
    with h5py.File(kept.with_suffix(".hdf5")) as file:
        assert file["0000/times"].shape == (2, 10)
        assert file["0000/neighbors"].shape == (10, 10)
    for end in ("qps.png", "batch.png", "bytes.png"):
        assert next(out.glob(f"*{end}")).stat().st_size > 5_000
    stem = "tiny-synthetic-300-8-euclidean-1"
    published = {path.name for path in (tmp_path / "published").iterdir()}
    assert published == {f"{stem}{end}" for end in (".json", ".md", "-qps.png", "-batch.png", "-bytes.png")}
    assert results.read(tmp_path / "published" / f"{stem}.json") == doc


def test_data_that_is_missing_is_said_and_made(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "synthetic", lambda folder: synthetic(folder, n=200, dim=8, queries=5))
    command.main(
        [
            str(tmp_path / "none.hdf5"),
            "--engines",
            "exact",
            "--rounds",
            "1",
            "--no-batch",
            "--out",
            str(tmp_path),
        ]
    )
    assert "none.hdf5 is not there" in capsys.readouterr().out


def test_held_to_avx2_only_engines_that_can_be_take_part(tmp_path, capsys, monkeypatch):
    for name in ("PQDB_KERNEL", "FAISS_SIMD_LEVEL"):  # set by the command; so they are put back afterwards
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(command, "_bench", lambda path, options, effort, cores: print(options.engines))
    command.main([str(synthetic(tmp_path, n=50, dim=8, queries=5)), "--avx2"])
    assert "['pqdb', 'faiss']" in capsys.readouterr().out
    assert (os.environ["PQDB_KERNEL"], os.environ["FAISS_SIMD_LEVEL"]) == ("avx2", "AVX2")
    with pytest.raises(SystemExit):
        command.main(["--avx2", "--engines", "hnswlib"])
    assert "none of them was asked for" in capsys.readouterr().err

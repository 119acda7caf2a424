"""What a run leaves behind: JSON with every raw number, HDF5 with every query's time and answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bench.data import Dataset
from bench.frontier import Point
from bench.rounds import Outcome, Plan, Trial

Document = dict[str, Any]


def document(outcome: Outcome, data: Dataset, plan: Plan, machine: Mapping[str, Any]) -> Document:
    """The run as one JSON-able value."""
    return {
        "machine": dict(machine),
        "data": {
            "name": data.name,
            "n": data.n,
            "dim": data.dim,
            "metric": data.metric,
            "queries": len(data.test),
        },
        "plan": {"k": plan.k, "rounds": plan.rounds, "seed": plan.seed},
        "indexes": outcome.facts,
        "skipped": [asdict(skip) for skip in outcome.skips],
        "dropped by scouting": [
            [trial.spec.label, dict(trial.setting), *(round(x, 4) for x in trial.scouted)] for trial in outcome.dropped
        ],
        "trials": [_row(trial) for trial in outcome.trials],
    }


def _row(trial: Trial) -> dict[str, Any]:
    times = np.concatenate(trial.times) * 1e6
    p50, p99 = np.percentile(times, [50, 99])
    return {
        "engine": trial.spec.engine,
        "family": trial.spec.family,
        "label": trial.spec.label,
        "setting": dict(trial.setting),
        "recall": round(trial.recall, 5),
        "recall strict": round(trial.recall_strict, 5),
        "qps": round(trial.qps, 1),
        "qps of each round": [round(qps, 1) for qps in trial.single_qps],
        "p50 us": round(float(p50), 2),
        "p99 us": round(float(p99), 2),
        "cpu share": [round(share, 3) for share in trial.cpu_share],
        "batch qps": round(float(np.median(trial.batch_qps)), 1) if trial.batch_seconds else None,
        "batch qps of each round": [round(qps, 1) for qps in trial.batch_qps],
    }


def write(folder: Path, doc: Document, outcome: Outcome) -> Path:
    """Write JSON and HDF5 side by side; the JSON's path."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{doc['data']['name']}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    path = folder / f"{stem}.json"
    write_json(path, doc)
    _write_hdf5(folder / f"{stem}.hdf5", outcome)
    return path


def write_json(path: Path, doc: Document) -> None:
    """A run as JSON, a setting a line so that differences of two runs can be read."""
    long = ("dropped by scouting", "trials")
    head = json.dumps({key: doc[key] for key in doc if key not in long}, indent=1, ensure_ascii=False)
    tail = "".join(f',\n "{key}": [{_lines(doc[key])}\n ]' for key in long)
    path.write_text(f"{head[:-2]}{tail}\n}}\n")


def _lines(rows: Sequence[object]) -> str:
    return ",".join("\n  " + json.dumps(row, ensure_ascii=False) for row in rows)


def _write_hdf5(path: Path, outcome: Outcome) -> None:
    """One group a setting: times (rounds, q) float32 seconds, neighbors (q, k) int32."""
    with h5py.File(path, "w") as file:
        for number, trial in enumerate(outcome.trials):
            group = file.create_group(f"{number:04d}")
            group.attrs.update(
                engine=trial.spec.engine, label=trial.spec.label, setting=json.dumps(dict(trial.setting))
            )
            group.create_dataset("times", data=np.stack(trial.times).astype(np.float32), compression="gzip")
            group.create_dataset("neighbors", data=np.asarray(trial.ids, dtype=np.int32), compression="gzip")


def read(path: Path) -> Document:
    """A kept run."""
    doc: Document = json.loads(path.read_text())
    return doc


def best_recalls(doc: Document) -> dict[str, float]:
    """The highest recall each index reached with any setting, those that scouting dropped for speed included."""
    best = {label: recall for label, _, recall, _ in sorted(doc["dropped by scouting"], key=lambda row: row[2])}
    for row in doc["trials"]:
        best[row["label"]] = max(best.get(row["label"], 0.0), row["recall"])
    return best


def points(doc: Document, *, batch: bool = False) -> list[Point]:
    """Every setting of a run as a point of the plots."""
    found = []
    for row in doc["trials"]:
        qps = row["batch qps"] if batch else row["qps"]
        if qps is None:
            continue
        held = doc["indexes"][row["label"]]["bytes"]
        setting = ", ".join(f"{name}={value}" for name, value in row["setting"].items()) or "default"
        scan = held["scan"]
        found.append(Point(row["family"], row["label"], setting, row["recall"], qps, scan, scan + held["rerank"]))
    return found

"""A writer killed at any instant: every acknowledged batch is whole, no other is half there."""

import random
import time
from pathlib import Path

import numpy as np
import pytest

from pqdb.store import PointStore
from tests.store.processes import talk
from tests.store.sources import ROW_BYTES

Model = dict[int, int]  # id → number of the batch that wrote it


def apply(model: Model, line: str) -> Model:
    """The model after one announced batch."""
    _, verb, number, *ids = line.split()
    changed = dict(model)
    for each in map(int, ids):
        if verb == "delete":
            changed.pop(each, None)
        else:
            changed[each] = int(number)
    return changed


def found_in(store: PointStore) -> Model:
    """id → batch, and that the source bytes and payloads agree on it."""
    with store.read() as view:
        live = view.live_rows()
        ids, payloads, source = view.ids_of(live), view.payloads_of(live), view.source_of(live)
        assert len(live) == view.n_live
    numbers = source.view("<u4").reshape(len(live), ROW_BYTES // 4)
    assert (numbers == numbers[:, :1]).all()
    assert [int(payload or b"-1") for payload in payloads] == numbers[:, 0].tolist()
    return dict(zip(map(int, ids), numbers[:, 0].tolist(), strict=True))


def kill_while_writing(path: Path, round_: int, model: Model) -> Model:
    """Let a child write, kill it after a random while. -> what must be there now (or one batch more)."""
    with talk("upsert_and_delete_for_ever", path, round_) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(random.Random(round_).uniform(0, 0.08))
        child.kill()
        lines = [first, *child.stdout.readlines()]
    pending = None
    for line in (line for line in lines if line.endswith("\n")):
        if line == "done\n":
            assert pending is not None
            model, pending = apply(model, pending), None
        else:
            pending = line
    with PointStore.open(path) as store:
        found = found_in(store)
        assert store.verify() == []
    assert found in ([model] if pending is None else [model, apply(model, pending)])
    return found


def kill_often(path: Path, rounds: int) -> None:
    PointStore.create(path, {}, ROW_BYTES).close()
    model: Model = {}
    for round_ in range(1, rounds + 1):
        model = kill_while_writing(path, round_, model)
    assert model
    with PointStore.open(path) as store, store.write() as batch:  # and it can still be written
        batch.upsert([0], np.zeros((1, ROW_BYTES), np.uint8), [b"0"])


def test_killed_ten_times(tmp_path: Path) -> None:
    kill_often(tmp_path / "points", 10)


@pytest.mark.long
def test_killed_a_hundred_times(tmp_path: Path) -> None:
    kill_often(tmp_path / "points", 100)

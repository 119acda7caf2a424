"""Another kind of data arrives: with the loop the promise of recall is kept throughout, without it it is not."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest

import pqdb
from pqdb.upkeep import build, steps
from tests.data import clustered
from tests.docs.pages import ROOT

ASKED = 0.95
STEP_SECONDS = 3.0  # in the background, until the next 5,000 rows come
DATA = ROOT.parent / "shared" / "data"  # real data, where they are at hand
Figure = Callable[[str, object], None]


@dataclass(frozen=True)
class Story:
    """So many rows of one kind, then so many of another, and held-out queries of both."""

    first: np.ndarray
    second: np.ndarray
    step: int
    near_first: np.ndarray
    near_second: np.ndarray

    @classmethod
    def of(cls, rows: tuple[np.ndarray, np.ndarray], step: int, queries: int) -> Self:
        """The last rows of each kind are the queries, and not among the points."""
        first, second = rows
        return cls(first[:-queries], second[:-queries], step, first[-queries:], second[-queries:])

    def queries(self, written: int) -> np.ndarray:
        """As many of each kind as there are points of it, once so many of the second are written."""
        of_second = round(written / (len(self.first) + written) * len(self.near_first))
        return np.concatenate([self.near_first[: len(self.near_first) - of_second], self.near_second[:of_second]])


def made(n_first: int, n_second: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters, and then tighter ones elsewhere."""
    return clustered(n_first, dim, seed=1), clustered(n_second, dim, seed=2, clusters=80, spread=0.3) + np.float32(3)


def real(n_first: int, n_second: int) -> tuple[np.ndarray, np.ndarray]:
    """Embedded texts, turned into 128 dimensions and as long as what comes then: features of pictures."""
    h5py = pytest.importorskip("h5py")
    files = [DATA / "docs-minilm-51k-384-angular.hdf5", DATA / "sift-119k-128-euclidean.hdf5"]
    if not all(file.exists() for file in files):
        pytest.skip("the real data are not at hand")
    texts, pictures = (h5py.File(file)["train"][:] for file in files)
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((texts.shape[1], pictures.shape[1])))
    turned = texts[:n_first] @ turn
    turned *= np.linalg.norm(pictures, axis=1).mean() / np.linalg.norm(turned, axis=1).mean()
    return turned.astype(np.float32), pictures[:n_second].astype(np.float32)


@dataclass(frozen=True)
class Moment:
    """How it stands after a step."""

    rows: int
    recall: float
    codes: float  # that a query scans
    generation: int


@dataclass
class Asked:
    """What a thread that asks all the while has seen."""

    found: list[float] = field(default_factory=list)  # recall of each query
    failed: list[str] = field(default_factory=list)


class Asking:
    """A thread that asks queries of the story without end, and compares each answer with the exact one."""

    def __init__(self, things: pqdb.Collection, story: Story) -> None:
        self.seen = Asked()
        self.written = 0
        self._things, self._story = things, story
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _ask(self) -> None:
        rng = np.random.default_rng(3)
        while not self._done.is_set():
            query = rng.choice(self._story.queries(self.written))
            try:
                # The exact answer first: what is written between the two can only be nearer.
                worst = self._things.search(query, 10, exact=True).scores[-1]
                scores = self._things.search(query, 10, recall=ASKED).scores
            except Exception as error:  # noqa: BLE001 - any failure at all is one too many
                self.seen.failed.append(repr(error))
            else:
                self.seen.found.append(float((np.asarray(scores) <= worst * (1 + 1e-5)).mean()))


def told(story: Story, path: Path, follow_drift: bool, background: bool = False) -> tuple[list[Moment], Asked]:
    """Let it happen, and look after every step."""
    options: dict[str, Any] = {"upkeep_share": 1, "follow_drift": follow_drift, "live_queries": False}
    with pqdb.open(path, upkeep="background" if background else "manual", **options) as database:
        things = database.create_collection("things", story.first.shape[1], "l2")
        things.upsert(np.arange(len(story.first)), story.first)
        things.optimize()
        moments, asking = [], Asking(things, story)
        with asking if background else nullcontext():
            for stop in range(0, len(story.second) + 1, story.step):
                if stop:
                    start = stop - story.step
                    things.upsert(np.arange(start, stop) + len(story.first), story.second[start:stop])
                    asking.written = stop
                    if background:
                        time.sleep(STEP_SECONDS)
                    else:
                        things.optimize()
                moments.append(seen(things, len(story.first) + stop, story.queries(stop)))
        info = things.info()
        assert info["upkeep"]["error"] is None
        assert info["points"] == len(story.first) + len(story.second)
        assert things.verify() == []
    return moments, asking.seen


def seen(things: pqdb.Collection, rows: int, queries: np.ndarray) -> Moment:
    recall = things.measure_recall(10, queries, recall=ASKED).recall
    codes = float(np.mean([things.explain(query, 10, recall=ASKED).codes for query in queries[::5]]))
    return Moment(rows, recall, codes, things.info()["generation"])


def test_the_promise_is_kept_while_other_data_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 rows, then 4,000 others: 0.75 is left of 0.95 without the loop, at ten times the codes."""
    monkeypatch.setattr(steps, "TRAIN_ROWS", 500)
    monkeypatch.setattr(build, "choose_n_lists", lambda n: max(1, n // 40))
    story = Story.of(made(2_100, 4_100, 16), 1_000, 100)
    with_loop, without = (told(story, tmp_path / str(follow), follow)[0] for follow in (True, False))
    assert min(each.recall for each in with_loop) >= ASKED - 0.02
    assert without[-1].recall < 0.8
    assert without[-1].codes > 5 * with_loop[-1].codes
    assert with_loop[-1].generation > 1 == without[-1].generation


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("background", [False, True], ids=["waited for", "in the background"])
@pytest.mark.parametrize("data", ["made", "real"])
def test_fifty_thousand_rows_then_a_hundred_thousand_others(
    tmp_path: Path, figure: Figure, data: str, background: bool
) -> None:
    """Never more than 0.02 below what was asked, nor 0.03 above; without the loop recall falls, or costs twice as much.

    (Above means speed, not hits, is lost: the made rows that come are easier than those the loop learns from.)
    """
    rows = made(50_400, 100_400, 64) if data == "made" else real(50_400, 100_400)
    story = Story.of(rows, 5_000, 400)
    with_loop, asked = told(story, tmp_path / "with", True, background)
    without, _ = told(story, tmp_path / "without", False, background)
    for name, moments in (("with", with_loop), ("without", without)):
        recalls = [each.recall for each in moments]
        figure(f"recall at the asked {ASKED}, {name} the loop", f"{min(recalls):.3f} to {max(recalls):.3f}")
        figure(f"codes scanned by a query at the end, {name} the loop", round(moments[-1].codes))
        figure(f"generations, {name} the loop", moments[-1].generation)
        figure(f"timeline {name} the loop", [[each.rows, each.recall, each.codes, each.generation] for each in moments])
    if background:
        figure("queries asked meanwhile, with the loop", len(asked.found))
        figure("of them failed", len(asked.failed))
        figure("their recall", round(float(np.mean(asked.found)), 3))
        assert asked.failed == []
        assert np.mean(asked.found) >= ASKED - 0.02
    assert all(-0.02 <= each.recall - ASKED <= 0.03 for each in with_loop), with_loop
    assert without[-1].recall < ASKED - 0.05 or without[-1].codes > 2 * with_loop[-1].codes, without

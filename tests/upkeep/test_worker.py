"""When upkeep does what: by itself, one at a time, stopping when told, trying again after a failure."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import pqdb
from pqdb.store.locks import FileLock
from pqdb.upkeep import steps, worker
from pqdb.upkeep.train import Progress
from tests.conftest import SEED
from tests.data import clustered


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thresholds of upkeep a hundredth of what they are, and no waiting."""
    monkeypatch.setattr(steps, "TRAIN_ROWS", 200)
    monkeypatch.setattr(steps, "FRESH_ROWS", 50)
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.02)


def until(happened: Callable[[], bool], seconds: float = 60) -> bool:
    """Wait for something that is done in the background; False only if it never comes."""
    for _ in range(int(seconds / 0.02)):
        if happened():
            return True
        time.sleep(0.02)
    return False


def fill(things: pqdb.Collection, start: int, stop: int) -> None:
    things.upsert(np.arange(start, stop), clustered(stop - start, 8, seed=start))


def test_it_trains_indexes_and_trains_anew_by_itself(small: None, db_path: Path) -> None:
    with pqdb.open(db_path) as database:
        things = database.create_collection("things", 8)
        fill(things, 0, 199)
        time.sleep(0.2)
        assert things.info()["generation"] == 0  # not before there is enough to learn from
        fill(things, 199, 210)
        assert until(lambda: things.info()["generation"] == 1)
        fill(things, 210, 270)
        assert until(lambda: things.info()["fresh"] == 0)
        assert things.info()["generation"] == 1
        fill(things, 270, 900)
        assert until(lambda: things.info()["generation"] == 2)
        assert until(lambda: things.info()["fresh"] < 50)
        assert things.info()["upkeep"] == {"stage": None, "error": None} or until(
            lambda: things.info()["upkeep"]["stage"] is None
        )


def test_by_hand_nothing_happens_by_itself(small: None, db: pqdb.Database) -> None:
    things = db.create_collection("things", 8)
    fill(things, 0, 300)
    time.sleep(0.2)
    assert things.info()["generation"] == 0
    assert things.info()["status"] in ("ready", "training")
    things.optimize()
    assert things.info()["generation"] == 1


def test_flat_collections_are_left_alone(small: None, db_path: Path) -> None:
    with pqdb.open(db_path) as database:
        things = database.create_collection("things", 8, quantization=pqdb.Flat())
        fill(things, 0, 300)
        things.optimize()
        things.train()
        assert things.info()["generation"] == 0
        assert things.search(clustered(300, 8, seed=0)[9], 1).ids == [9]


def test_only_who_holds_the_lock_works(small: None, db_path: Path) -> None:
    with pqdb.open(db_path) as database:
        things = database.create_collection("things", 8)
        folder = next(p for p in db_path.iterdir() if p.name != "catalog")
        lock = FileLock(folder / "upkeep.lock")
        assert lock.acquire(blocking=True, timeout=10)
        fill(things, 0, 300)
        time.sleep(0.3)
        assert things.info()["generation"] == 0
        lock.close()
        assert until(lambda: things.info()["generation"] == 1)


def test_closing_stops_it_at_the_next_safe_point(small: None, db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """optimize() of another thread ends with an error of ours; nothing half built is ever seen."""
    database = pqdb.open(db_path, upkeep="manual")
    things = database.create_collection("things", 8)
    fill(things, 0, 600)
    begun, failure = threading.Event(), list[BaseException]()

    def slowly(stage: str, share: float) -> None:
        begun.set()
        time.sleep(0.05)

    def work() -> None:
        try:
            while True:
                things.train(slowly)
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failure.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    database.close()
    thread.join(60)
    assert not thread.is_alive()
    assert isinstance(failure[0], pqdb.ClosedError)
    with pqdb.open(db_path, upkeep="manual") as again:
        assert len(again["things"]) == 600
        assert again["things"].verify() == []
        again["things"].train()


def test_the_lock_is_let_go_of_only_when_nobody_works(
    db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process would index the same rows once more."""
    database = pqdb.open(db_path, upkeep="manual")
    things = database.create_collection("things", 8)
    fill(things, 0, 600)
    entered, leave, order = threading.Event(), threading.Event(), list[str]()
    release = FileLock.close

    def slowly(stage: str, share: float) -> None:
        if not entered.is_set():
            entered.set()
            leave.wait(60)
            order.append("worked")

    def close(lock: FileLock) -> None:
        order.append("let go")
        release(lock)

    def work() -> None:
        with pytest.raises(pqdb.ClosedError):
            things.train(slowly)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(60)
    monkeypatch.setattr(FileLock, "close", close)
    closing = threading.Thread(target=database.close)
    closing.start()
    closing.join(0.3)
    assert order == []
    leave.set()
    closing.join(60)
    thread.join(60)
    assert order[:2] == ["worked", "let go"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_waits_for_nobody(db_path: Path) -> None:
    """Who works in the parent is not there."""
    database = pqdb.open(db_path, upkeep="manual")
    things = database.create_collection("things", 8)
    fill(things, 0, 600)
    entered, leave = threading.Event(), threading.Event()

    def slowly(stage: str, share: float) -> None:
        entered.set()
        leave.wait(60)

    thread = threading.Thread(target=things.train, args=(slowly,))
    thread.start()
    assert entered.wait(60)
    child = os.fork()
    if not child:
        begun = time.monotonic()
        with suppress(pqdb.PqdbError):
            database.close()
        os._exit(int(time.monotonic() - begun > 10))
    assert os.waitpid(child, 0)[1] == 0
    leave.set()
    thread.join(60)
    database.close()


def test_who_waits_for_another_process_lets_itself_be_closed(db_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = pqdb.open(db_path, upkeep="manual")
    things = database.create_collection("things", 8)
    fill(things, 0, 600)
    monkeypatch.setattr(FileLock, "acquire", lambda *_, **__: False)
    failed = list[BaseException]()

    def work() -> None:
        try:
            things.optimize()
        except pqdb.ClosedError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    database.close()
    thread.join(60)
    assert "was closed while another process was at its upkeep" in str(failed[0])


def test_progress_may_look_at_a_collection_that_is_dropped_meanwhile(db_path: Path) -> None:
    """Whoever drops it waits for the work, and the work for nobody."""
    database = pqdb.open(db_path, upkeep="manual")
    things = database.create_collection("things", 8)
    fill(things, 0, 600)
    entered, failed = threading.Event(), list[BaseException]()

    def look(stage: str, share: float) -> None:
        entered.set()
        for _ in range(20):
            time.sleep(0.02)
            len(things)

    def work() -> None:
        try:
            things.train(look)
        except pqdb.ClosedError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(60)
    assert database.drop_collection("things")
    thread.join(20)
    assert not thread.is_alive()
    assert failed
    database.close()


def test_it_may_be_closed_from_where_progress_is_told(db_path: Path) -> None:
    database = pqdb.open(db_path, upkeep="manual")
    things = database.create_collection("things", 8)
    fill(things, 0, 600)
    with pytest.raises(pqdb.ClosedError):
        things.train(lambda stage, share: database.close())


def test_what_the_background_is_at_gives_way_to_who_does_it_by_hand(
    small: None, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build in the background takes half a core; who waits has all of them."""
    begun, built = threading.Event(), list[str]()
    real = steps.build_generation

    def slowly(stores: object, *args: object, progress: Progress, **kwargs: object) -> int | None:
        name = threading.current_thread().name
        for _ in range(3_000 if name == "pqdb-upkeep" else 0):  # a minute
            begun.set()
            time.sleep(0.02)
            progress("centroids", 0.0)
        built.append(name)
        return real(stores, *args, progress=progress, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(steps, "build_generation", slowly)
    with pqdb.open(db_path, upkeep_share=1.0) as database:
        things = database.create_collection("things", 8)
        fill(things, 0, 300)
        assert begun.wait(60)
        things.optimize()
        assert built == [threading.current_thread().name]
        assert (things.info()["generation"], things.info()["fresh"]) == (1, 0)
        assert things.verify() == []
        fill(things, 300, 400)  # and the background goes on
        assert until(lambda: things.info()["fresh"] == 0)


def test_a_failure_is_told_and_tried_again(
    small: None, db_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a kind it knows or a mistake of our own: searches go on, and once the cause is gone so does upkeep."""
    real = steps.build_generation
    for number, error in enumerate((pqdb.StorageError("the disk is away"), RuntimeError("a mistake of ours"))):

        def fails(*_: object, error: Exception = error, **__: object) -> int:
            raise error

        monkeypatch.setattr(steps, "build_generation", fails)
        with pqdb.open(db_path) as database:
            things = database.create_collection(f"c{number}", 8)
            fill(things, 0, 300)
            said = f"{type(error).__name__}: {error}"
            assert until(lambda: things.info()["upkeep"]["error"] == said)  # noqa: B023
            assert things.search(clustered(300, 8, seed=0)[9], 1).ids == [9]
            monkeypatch.setattr(steps, "build_generation", real)
            assert until(lambda: things.info()["generation"] == 1)  # noqa: B023
            assert until(lambda: things.info()["upkeep"]["error"] is None)  # noqa: B023
    assert "will try again" in caplog.text


def test_what_is_written_is_acknowledged_whatever_fails_when_the_writer_helps(
    small: None, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The points are on disk: an error of upkeep's is upkeep's to tell."""
    monkeypatch.setattr(worker, "BEHIND_ROWS", 100)
    monkeypatch.setattr(steps, "BEHIND_ROWS", 100)
    monkeypatch.setattr(worker.Upkeep, "_background_step", lambda _: False)
    with pqdb.open(db_path) as database:
        things = database.create_collection("things", 8)
        fill(things, 0, 300)
        things.train()
        asked = []

        def fails(*_: object) -> bool:
            asked.append(True)
            raise pqdb.CorruptError("a block of the index is damaged")

        monkeypatch.setattr(steps.Steps, "catch_up", fails)
        for start in range(300, 900, 100):
            fill(things, start, start + 100)
        assert asked
        assert len(things) == 900
        monkeypatch.setattr(steps.Steps, "is_behind", fails)
        fill(things, 900, 1_000)
        assert len(things) == 1_000


def test_each_step_sees_what_the_one_before_has_done(
    small: None, db: pqdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that is refused may have indexed what was written meanwhile, and given it lists."""
    things = db.create_collection("things", 8)
    fill(things, 0, 300)
    things.train()
    seen = []

    def refused(*_: object) -> bool:
        fill(things, 300, 320)
        return False

    monkeypatch.setattr(steps.Steps, "_train", refused)
    monkeypatch.setattr(steps.Steps, "_tidy", lambda _, now, __: seen.append(now.live))
    upkeep = things._upkeep
    assert upkeep is not None
    upkeep.tended[0].steps.step(False, lambda *_: None)
    assert seen == [320]


def test_a_search_that_opens_the_index_before_sources_are_forgotten(
    small: None, db: pqdb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that this index takes for fresh have no source any more by the time the points are opened."""
    things = db.create_collection("things", 8, "l2", source=None)
    fill(things, 0, 300)
    things.optimize()
    fill(things, 300, 600)
    read, query = things._points.read, clustered(300, 8, seed=300)[7]

    def overtaken() -> object:
        monkeypatch.setattr(things._points, "read", read)
        things.optimize()
        return read()

    monkeypatch.setattr(things._points, "read", overtaken)
    assert things.search(query, 600, nprobe=999, rerank=600).ids[0] == 307
    with things._points.read() as points:
        assert points.forgotten_rows > 300


def test_without_a_source_rows_that_are_codes_stay_found_as_it_grows(small: None, db: pqdb.Database) -> None:
    """A second generation could not be proved better: growing past four times the first must not lose the first."""
    things = db.create_collection("things", 8, "l2", source=None)
    for start in range(0, 2_000, 250):
        fill(things, start, start + 250)
        things.optimize()
    assert things.info()["generation"] == 1
    assert sorted(things.search(np.ones(8), 2_000, nprobe=99, rerank=2_000).ids) == list(range(2_000))
    things.train()  # asked for, one is made of what the rerank tier holds
    assert things.info()["generation"] == 2
    assert sorted(things.search(np.ones(8), 2_000, nprobe=99, rerank=2_000).ids) == list(range(2_000))
    codes = db.create_collection("codes", 8, "l2", source=None, rerank=None)
    fill(codes, 0, 500)
    codes.optimize()
    with pytest.raises(pqdb.InputError, match="and rerank=None nothing in their place: 381 rows"):
        codes.train()


def test_a_report_adds_up(db: pqdb.Database) -> None:
    things = db.create_collection("things", 8, "l2", metadata={"a": 1})
    fill(things, 0, 100)
    young = things.info()
    assert (young["points"], young["indexed"], young["fresh"], young["dead_rows"]) == (100, 100, 100, 0)
    assert (young["status"], young["generation"], young["lists"], young["hot_bytes"]) == ("ready", 0, 0, 0)
    things.train()
    things.delete([3, 4])
    fill(things, 100, 110)
    info = things.info()
    assert (info["points"], info["indexed"], info["fresh"], info["dead_rows"]) == (108, 98, 10, 2)
    assert (info["generation"], info["lists"], info["sequence"]) == (1, 1, 3)
    assert info["name"] == "things"
    assert info["metadata"] == {"a": 1}
    assert info["config"] == things.config.to_dict()
    # 4 groups of 32: codes of 4 padded nibbles, float16 scale and bias, u32 row
    assert info["hot_bytes"] == info["bytes"]["codes"] == 4 * 32 * (2 + 2 + 2 + 4)
    assert info["bytes"]["rerank"] == 100 * (64 + 8)
    assert info["bytes"]["source"] == 110 * 8 * 4
    for part in ("points", "index"):
        assert info["disk"][part]["file"] > 0


def test_many_points_that_are_all_waiting_say_so(db: pqdb.Database) -> None:
    things = db.create_collection("things", 2)
    things.upsert(np.arange(5_000), clustered(5_000, 2, seed=SEED))
    assert things.info()["status"] == "training"

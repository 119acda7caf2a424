"""Changes of several threads in one commit: what is acknowledged is there, what fails fails alone."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest

from pqdb.errors import ClosedError, DiskFullError, IdError, InputError
from pqdb.store import PointBatch, PointStore
from pqdb.store.write import Write
from tests.store.processes import run
from tests.store.sources import ROW_BYTES

Maker = Callable[..., np.ndarray]
MIB = 1 << 20


class Gate:
    """Holds the first commit that comes, so that others queue up behind it; counts commits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self.commits = 0
        through = Write._commit

        def commit(write: Write) -> None:
            self.commits += 1
            self.reached.set()
            assert self.open.wait(30)
            through(write)

        monkeypatch.setattr(Write, "_commit", commit)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open.set()


class Threads:
    """Threads that each run one thing; what they return or raise is kept by name."""

    def __init__(self) -> None:
        self.said: dict[Any, Any] = {}
        self._threads: list[threading.Thread] = []

    def start(self, name: Any, act: Callable[[], Any]) -> None:
        def body() -> None:
            try:
                self.said[name] = act()
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                self.said[name] = error

        thread = threading.Thread(target=body)
        self._threads.append(thread)
        thread.start()

    def join(self) -> dict[Any, Any]:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        return self.said


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def waiting(store: PointStore) -> int:
    return len(store._group._waiting)


def upsert(store: PointStore, rows: Maker, point: int, n: int = 1) -> Callable[[], int]:
    """A thread's work: one upsert. -> its sequence."""

    def change(batch: PointBatch) -> int:
        batch.upsert(range(point, point + n), rows(n, point % 200), [b"%d" % point] * n)
        return batch.seq

    return lambda: store.commit(change)


def queue_up(store: PointStore, gate: Gate, first: Callable[[], Any], others: dict[Any, Callable[[], Any]]) -> Threads:
    """Hold the first one's commit until the others wait in their order, then let go."""
    threads = Threads()
    threads.start("first", first)
    assert gate.reached.wait(30)
    for number, (name, act) in enumerate(others.items(), 1):
        threads.start(name, act)
        until(lambda number=number: waiting(store) == number)  # type: ignore[misc]
    gate.open.set()
    return threads


def found(store: PointStore) -> dict[int | str, int]:
    """id → version of every point."""
    with store.read() as view:
        live = view.live_rows()
        assert len(live) == view.n_live
        return dict(zip(view.ids_of(live), view.versions_of(live).tolist(), strict=True))


def test_those_who_wait_share_one_commit_and_have_sequences_of_their_own(
    points: PointStore, rows: Maker, gate: Gate
) -> None:
    threads = queue_up(points, gate, upsert(points, rows, 0), {n: upsert(points, rows, n) for n in range(1, 8)})
    said = threads.join()
    assert gate.commits == 2
    assert said == {"first": 1, **{n: n + 1 for n in range(1, 8)}}
    assert found(points) == {n: n + 1 for n in range(8)}
    assert points.verify() == []
    with points.read() as view:
        assert view.seq == 8
        assert view.payloads_of(np.array([view.row_of(5)])) == [b"5"]


def test_of_one_id_in_one_commit_the_last_wins(points: PointStore, rows: Maker, gate: Gate) -> None:
    names = {n: upsert(points, lambda k, _, n=n: rows(k, n), 1) for n in range(3)}  # type: ignore[misc]
    said = queue_up(points, gate, upsert(points, rows, 0), names).join()
    assert found(points) == {0: 1, 1: said[2]}
    with points.read() as view:
        assert (view.source_of(np.array([view.row_of(1)])) == rows(1, 2)).all()
    assert points.verify() == []


def test_a_change_that_fails_fails_alone(points: PointStore, rows: Maker, gate: Gate) -> None:
    def half(batch: PointBatch) -> None:
        batch.upsert([50], rows(1))
        batch.delete([0])
        raise InputError("no more of this")

    others = {
        1: upsert(points, rows, 1),
        "half": lambda: points.commit(half),
        2: upsert(points, rows, 2),
        "bad": lambda: points.commit(lambda batch: batch.upsert([-1], rows(1))),
        3: upsert(points, rows, 3),
        "nothing": lambda: points.commit(lambda batch: batch.delete([77])),
        4: upsert(points, rows, 4),
    }
    said = queue_up(points, gate, upsert(points, rows, 0), others).join()
    assert isinstance(said["half"], InputError)
    assert isinstance(said["bad"], IdError)
    assert said["nothing"] == 0
    good = {0: said["first"], **{n: said[n] for n in range(1, 5)}}
    assert found(points) == good
    assert sorted(good.values()) == [1, 2, 3, 4, 5]  # who changed nothing used no sequence
    assert points.verify() == []


def test_a_leader_that_fails_does_not_take_the_others_along(points: PointStore, rows: Maker, gate: Gate) -> None:
    others = {"bad": lambda: points.commit(lambda batch: batch.upsert([-1], rows(1)))}
    others |= {n: upsert(points, rows, n) for n in range(1, 4)}
    said = queue_up(points, gate, upsert(points, rows, 0), others).join()
    assert isinstance(said["bad"], IdError)
    assert set(found(points)) == {0, 1, 2, 3}


def test_where_all_of_them_do_not_fit_each_is_tried_alone(
    points: PointStore, rows: Maker, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk with room for one change at a time: nobody is told of a full disk who has room by himself."""
    through = Write._commit

    def commit(write: Write) -> None:
        if len(write._done) > 2:  # (a change of one's own is two steps: upsert, finish)
            error = lmdb.Error("no room")
            error.code = 28  # type: ignore[attr-defined]
            raise error
        through(write)

    monkeypatch.setattr(Write, "_commit", commit)
    big = {"big": lambda: points.commit(lambda batch: [batch.upsert([n], rows(1)) for n in range(90, 95)])}
    others = {n: upsert(points, rows, n) for n in range(1, 5)} | big
    said = queue_up(points, gate, upsert(points, rows, 0), others).join()
    assert isinstance(said["big"], DiskFullError)
    assert found(points) == {0: said["first"], **{n: said[n] for n in range(1, 5)}}
    assert points.verify() == []


def test_a_map_that_grows_under_several_keeps_all_of_them(tmp_path: Path, rows: Maker, gate: Gate) -> None:
    with PointStore.create(tmp_path / "p", {}, ROW_BYTES, map_size=MIB) as store:
        others = {n: upsert(store, rows, 2_000 * n, 2_000) for n in range(1, 5)}
        said = queue_up(store, gate, upsert(store, rows, 0), others).join()
        assert store.env.epoch >= 1
        with store.read() as view:
            assert (view.n_live, view.seq) == (8_001, 5)
            for n in range(1, 5):
                row = np.array([view.row_of(2_000 * n + 1_999)])
                assert view.versions_of(row)[0] == said[n]
        assert store.verify() == []


def test_another_process_that_writes_while_the_map_grows_is_no_error(tmp_path: Path, rows: Maker) -> None:
    """Seen in between, a change is run again from the start."""
    with PointStore.create(tmp_path / "p", {}, ROW_BYTES, map_size=MIB) as store:
        seen = []

        def change(batch: PointBatch) -> None:
            seen.append(batch.held([7]))
            batch.upsert([1], rows(1))
            begin = store.env.begin_write_again

            def meanwhile() -> Any:
                store.env.begin_write_again = begin  # type: ignore[method-assign]
                run("upsert", store.path, 7, 1)
                return begin()

            if len(seen) == 1:
                store.env.begin_write_again = meanwhile  # type: ignore[method-assign]
            batch.upsert(range(100, 5_100), rows(5_000))

        store.commit(change)
        assert len(seen) == 2
        with store.read() as view:
            assert view.n_live == 5_002
        assert store.verify() == []


def test_an_interrupted_leader_leaves_the_others_to_themselves(points: PointStore, rows: Maker, gate: Gate) -> None:
    def interrupted(batch: PointBatch) -> None:
        batch.upsert([9], rows(1))
        raise KeyboardInterrupt

    others = {"interrupted": lambda: points.commit(interrupted), **{n: upsert(points, rows, n) for n in (1, 2)}}
    said = queue_up(points, gate, upsert(points, rows, 0), others).join()
    assert isinstance(said["interrupted"], KeyboardInterrupt)
    assert set(found(points)) == {0, 1, 2}
    assert upsert(points, rows, 3)() == 4  # and nobody waits for a leader that is gone


def test_an_interrupt_behind_the_commit_runs_nothing_twice(
    points: PointStore, rows: Maker, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    upsert_first = upsert(points, rows, 0)
    last = points.env.last_commit

    def interrupt() -> None:
        monkeypatch.setattr(points.env, "committed", lambda: None)
        raise KeyboardInterrupt

    threads = Threads()
    threads.start("first", upsert_first)
    assert gate.reached.wait(30)
    for n in (1, 2):
        threads.start(n, upsert(points, rows, n))
        until(lambda n=n: waiting(points) == n)  # type: ignore[misc]
    monkeypatch.setattr(points.env, "committed", lambda: interrupt() if last() > 2 else None)
    gate.open.set()
    said = threads.join()
    assert isinstance(said[1], KeyboardInterrupt)
    assert said[2] == 3
    with points.read() as view:
        assert (view.n_rows, view.seq) == (3, 3)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread")
def test_an_interrupted_follower_leaves_the_queue(points: PointStore, rows: Maker, gate: Gate) -> None:
    threads = Threads()
    threads.start("first", upsert(points, rows, 0))
    assert gate.reached.wait(30)
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        until(lambda: waiting(points) == 1)
        time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    threads.start("interrupt", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            upsert(points, rows, 1)()
    finally:
        signal.signal(signal.SIGINT, before)
    assert waiting(points) == 0
    gate.open.set()
    threads.join()
    assert found(points) == {0: 1}
    assert upsert(points, rows, 2)() == 2


def test_a_store_closed_meanwhile_says_so_to_each(points: PointStore, rows: Maker) -> None:
    batch = points.write()
    batch.__enter__()
    threads = Threads()
    for n in range(3):
        threads.start(n, upsert(points, rows, n))
    until(lambda: waiting(points) == 2)
    points.env.gate.shut = "closed"
    batch.__exit__(None, None, None)
    said = threads.join()
    points.env.gate.shut = None
    assert all(isinstance(error, ClosedError) for error in said.values()), said
    assert found(points) == {}


def test_eight_threads_share_slow_syncs(points: PointStore, rows: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sync takes 2 ms, what counts is how many upserts share one: at least four, so four times the rate."""
    through, commits = Write._commit, [0]

    def slow(write: Write) -> None:
        commits[0] += 1
        time.sleep(0.002)
        through(write)

    monkeypatch.setattr(Write, "_commit", slow)
    threads = Threads()

    def write(thread: int) -> None:
        for n in range(30):
            upsert(points, rows, thread * 1_000 + n)()

    for thread in range(8):
        threads.start(thread, lambda thread=thread: write(thread))  # type: ignore[misc]
    assert set(threads.join().values()) == {None}
    assert len(found(points)) == 8 * 30
    assert commits[0] <= 8 * 30 / 4


def test_eight_threads_write_and_lose_nothing(points: PointStore, rows: Maker) -> None:
    """Every acknowledged point can be read at once by the thread that wrote it; sequences come once each."""
    sequences: list[int] = []

    def write(thread: int) -> None:
        for n in range(thread * 1_000, thread * 1_000 + 40):
            sequence = upsert(points, rows, n)()
            sequences.append(sequence)
            with points.read() as view:
                row = view.row_of(n)
                assert row is not None
                assert view.versions_of(np.array([row]))[0] == sequence
            if n % 4 == 0:
                assert points.commit(lambda batch, n=n: batch.delete([n])) == 1  # type: ignore[misc]

    threads = Threads()
    for thread in range(8):
        threads.start(thread, lambda thread=thread: write(thread))  # type: ignore[misc]
    said = threads.join()
    assert set(said.values()) == {None}, said
    assert sorted(set(sequences)) == sorted(sequences)
    versions = found(points)
    assert len(versions) == 8 * 30
    assert points.env.last_commit() < 8 * 50  # (the first commit made the store)
    assert points.verify() == []
    with points.read() as view:
        assert (view.seq, view.n_rows) == (8 * 50, 8 * 40)

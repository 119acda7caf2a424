"""The process's own threads: who shares out, and who does not."""

import os
import threading
import time
from collections.abc import Iterable

import pytest

from pqdb import threads


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterable[None]:
    """A pool of two threads, whatever the machine."""
    threads.pool.cache_clear()
    monkeypatch.setattr(threads, "cores", lambda: 2)
    yield
    threads.pool().shutdown()
    threads.pool.cache_clear()


def where(_: int) -> str:
    time.sleep(0.01)
    return threading.current_thread().name


@pytest.mark.usefixtures("two")
def test_parts_are_shared_out_and_come_back_in_order() -> None:
    assert list(threads.share_out(lambda n: n * n, range(20))) == [n * n for n in range(20)]
    assert len(set(threads.share_out(where, range(8)))) == 2
    assert threading.current_thread().name not in set(threads.share_out(where, range(8)))


@pytest.mark.usefixtures("two")
def test_one_part_is_not_worth_a_thread() -> None:
    assert list(threads.share_out(where, [0])) == [threading.current_thread().name]


@pytest.mark.usefixtures("two")
def test_background_work_stays_on_its_thread() -> None:
    own = threading.current_thread().name
    with threads.on_this_thread():
        with threads.on_this_thread():
            pass
        assert set(threads.share_out(where, range(4))) == {own}
    assert own not in set(threads.share_out(where, range(4)))


@pytest.mark.usefixtures("two")
def test_a_thread_of_the_pool_does_not_wait_for_the_pool() -> None:
    """Eight that share out at once on two threads would otherwise wait for each other for ever."""
    shared = threads.share_out(lambda n: sum(threads.share_out(lambda m: m, range(n))), range(8))
    assert list(shared) == [sum(range(n)) for n in range(8)]


@pytest.mark.usefixtures("two")
def test_what_a_part_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(threads.share_out(lambda n: 1 // n, range(3)))


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_nothing_is_under_way_once_one_has_failed(error: type[BaseException]) -> None:
    """A part that goes on would read what its caller gives back."""
    lock, going = threading.Lock(), [0, 0]

    def work(part: int) -> None:
        with lock:
            going[0] += 1
            going[1] += 1
        time.sleep(0.002 if part else 0.001)
        with lock:
            going[0] -= 1
        if part == 3:
            raise error

    with pytest.raises(error):
        list(threads.share_out(work, range(100)))
    assert going[0] == 0
    assert going[1] < 100


@pytest.mark.usefixtures("two")
def test_who_comes_later_need_not_wait_for_all_of_another() -> None:
    gate, done = threading.Event(), list[str]()

    def slow(_: int) -> None:
        gate.wait(10)
        time.sleep(0.005)
        done.append("first")

    first = threading.Thread(target=lambda: list(threads.share_out(slow, range(200))))
    first.start()
    time.sleep(0.05)
    threading.Timer(0.05, gate.set).start()
    list(threads.share_out(lambda _: done.append("other"), range(4)))
    first.join()
    assert (done.count("first"), "other" in done[100:]) == (200, False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.usefixtures("two")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    list(threads.share_out(where, range(4)))
    child = os.fork()
    if child == 0:
        os._exit(0 if sum(threads.share_out(lambda n: n, range(4))) == 6 else 1)
    assert os.waitpid(child, 0)[1] == 0

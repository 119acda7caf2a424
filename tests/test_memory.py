"""A limit on memory: how it is said, what it refuses, and that it is kept."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pqdb
from pqdb.memory import BASE, COPIES, LEAST_ROWS, Memory


@pytest.mark.parametrize(
    ("said", "limit"),
    [(300_000_000, 300_000_000), ("512MB", 512 << 20), ("1.5 gb", 3 << 29), ("200000000", 200_000_000), (None, None)],
)
def test_a_limit_is_bytes_or_text(said: int | str | None, limit: int | None) -> None:
    assert Memory(said).limit == limit


@pytest.mark.parametrize("said", ["much", "512 MBit", "", "-1MB", 1.5, True])
def test_what_is_no_limit_is_refused(said: Any) -> None:
    with pytest.raises(pqdb.InputError, match="is neither a number of bytes nor text"):
        pqdb.open(memory_limit=said)


def test_too_small_a_limit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(pqdb.InputError, match=f"memory_limit=1,024 bytes is too small: .* take {BASE:,}"):
        pqdb.open(tmp_path / "db", memory_limit="1KB")
    assert not (tmp_path / "db").exists()
    needed = BASE + LEAST_ROWS * COPIES * 4 * 4_096
    sentence = f"too small for 4,096 dimensions: training looks at 2,048 vectors at least, which takes {needed:,}"
    with pqdb.open(tmp_path / "db", memory_limit="256MB", upkeep="manual") as db:
        with pytest.raises(pqdb.InputError, match=sentence):
            db.create_collection("wide", 4_096)
        assert db.collections() == []
        db.create_collection("narrow", 64)
    with pqdb.open(tmp_path / "db", upkeep="manual") as db:
        db.create_collection("wide", 4_096)
    with pqdb.open(tmp_path / "db", memory_limit="256MB", upkeep="manual") as db:
        with pytest.raises(pqdb.InputError, match=sentence):
            db.get_collection("wide")
        assert len(db["narrow"]) == 0


def test_an_upsert_that_would_not_fit_is_refused(tmp_path: Path) -> None:
    import numpy as np

    with pqdb.open(tmp_path / "db", memory_limit="128MB", upkeep="manual") as db:
        things = db.create_collection("things", 16)
        with pytest.raises(pqdb.InputError, match=r"at most [\d,]+ points at once, not 400,000"):
            things.upsert(np.arange(400_000), np.zeros((400_000, 16), np.float32))
        assert len(things) == 0
        things.upsert(np.arange(10_000), np.zeros((10_000, 16), np.float32))


def test_rows_follow_from_the_limit() -> None:
    assert Memory().rows(1_000, 1 << 30) == 1_000
    limited = Memory(BASE + (64 << 20))
    assert limited.rows(100_000, 1_024) == 65_536
    assert limited.rows(100_000, 1_024, share=0.5) == 32_768
    assert limited.rows(1_000, 1_024) == 1_000
    with pytest.raises(pqdb.InputError, match="too small for 5,000,000 rows: they take 32 bytes each"):
        limited.rows(1_000, 1_024, 5_000_000)


def test_one_piece_of_work_at_a_time_has_the_memory() -> None:
    limited, free = Memory("1GB"), Memory()
    with limited.turn(lambda: True) as first, limited.turn(lambda: True) as second:
        assert (first, second) == (True, False)
    with free.turn(lambda: True) as first, free.turn(lambda: True) as second:
        assert (first, second) == (True, True)


def test_writers_and_closing_wait_for_no_turn(tmp_path: Path) -> None:
    import numpy as np

    with pqdb.open(tmp_path / "db", memory_limit="256MB") as db:
        things = db.create_collection("things", 8)
        upkeep = things._upkeep
        assert upkeep is not None
        with upkeep.memory.turn(lambda: False) as ours:  # another collection trains
            assert ours
            for start in range(0, 12_000, 2_000):
                things.upsert(np.arange(start, start + 2_000), np.random.default_rng(start).random((2_000, 8)))
            assert len(things) == 12_000
            assert things.info()["generation"] == 0
            db.close()


STORY = """
import re, sys, threading
import numpy as np
import pqdb

folder, n, dim, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rng = np.random.default_rng(0)
centres = rng.standard_normal((200, dim)).astype(np.float32)

def made(count):
    return centres[rng.integers(200, size=count)] + rng.standard_normal((count, dim), dtype=np.float32)

def anonymous():
    return 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])

queries, part = made(200), 5_000
before, stage, peaks, done = anonymous(), "open", {}, threading.Event()

def watch():
    while not done.wait(0.002):
        peaks[stage] = max(peaks.get(stage, 0), anonymous() - before)

def progress(name, share):
    global stage
    stage = name

watching = threading.Thread(target=watch)
watching.start()
with pqdb.open(folder, upkeep="manual", memory_limit=limit) as db:
    things = db.create_collection("things", dim)
    for start in range(0, n, part):
        things.upsert(range(start, start + part), made(part))
    things.optimize(progress)
    stage = "search"
    for query in queries:
        things.search(query)
    things.search(queries, k=100)
    things.search(queries, exact=True)
    for start in range(n, n + n // 5, part):
        things.upsert(range(start, start + part), made(part))
    things.optimize(progress)
    things.delete(range(n // 2))
    things.compact(progress)
    stage = "search"
    recall = things.measure_recall(k=10)
done.set()
watching.join()
print(max(peaks.values()), recall.recall, peaks)
"""


def peak(folder: Path, n: int, dim: int, limit: str) -> tuple[int, float]:
    """The most that anonymous memory grew by while a collection lived, and its recall at the end."""
    words = [sys.executable, "-c", STORY, str(folder), str(n), str(dim), limit]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    most, recall, _ = done.stdout.split(maxsplit=2)
    print(done.stdout)
    return int(most), float(recall)


def test_a_small_limit_is_kept(tmp_path: Path) -> None:
    most, recall = peak(tmp_path / "db", 20_000, 128, "112MB")
    assert most <= 112 << 20
    assert recall > 0.9


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_200_000_vectors_of_256_dimensions_live_in_256_mb(tmp_path: Path, figure: Any) -> None:
    most, recall = peak(tmp_path / "db", 200_000, 256, "256MB")
    figure("peak growth of anonymous memory, MB", most >> 20)
    figure("recall@10 at the end", recall)
    assert most <= 256 << 20
    assert recall > 0.9

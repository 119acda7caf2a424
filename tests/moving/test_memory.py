"""Files are moved in bounded memory: what a move holds does not grow with the file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.moving.test_round_trip import NAMES

ROWS, DIM = 44_000, 256  # 45 MB of vectors …
LINES = 9_000  # … or of text
BOUND = 40 << 20

MOVE = """
import re, sys, threading, time
import numpy as np
import pqdb
from pqdb.moving.batch import Batch
from pqdb.moving.formats import form_of, reader, writer
from pqdb.moving.batch import Columns, Kinds
from pathlib import Path

verb, file, rows, dim = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

def anonymous():
    return 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])

class Made:
    kinds = Kinds(rows, dim, integers=True, payloads=True)
    metric = "l2"
    def batches(self):
        for start in range(0, rows, 2_000):
            n = min(2_000, rows - start)
            vectors = np.random.default_rng(start).standard_normal((n, dim), np.float32)
            yield Batch(list(range(start, start + n)), vectors, [{"row": i} for i in range(start, start + n)])

if form_of(file) in ("parquet", "hdf5"):
    import h5py, pyarrow.parquet
peak, done = 0, threading.Event()
def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous())
before = anonymous()
watching = threading.Thread(target=watch)
watching.start()
if verb == "write":
    writer(file)(file, Made(), Columns())
else:
    beside = file.with_suffix(".jsonl") if file.suffix == ".npy" else None
    seen = sum(len(batch) for batch in reader(file, Columns(), beside).batches(2_000, 6_000))
    assert seen == rows - 6_000, seen
done.set()
watching.join()
print(peak - before)
"""


def growth(verb: str, file: Path, rows: int = ROWS) -> int:
    """By how many bytes the anonymous memory of a process grew that did nothing else."""
    words = [sys.executable, "-c", MOVE, verb, str(file), str(rows), str(DIM)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if "jsonl" in name else ()) for name in NAMES]
)
def test_a_file_larger_than_the_bound_is_written_and_read_within_it(tmp_path: Path, name: str) -> None:
    rows = LINES if "jsonl" in name else ROWS
    assert growth("write", tmp_path / name, rows) < BOUND
    assert growth("read", tmp_path / name, rows) < BOUND


def test_a_row_group_larger_than_the_bound_is_read_within_it(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal(ROWS * DIM, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows), DIM)
    pq.write_table(pa.table({"id": range(ROWS), "vector": vectors}), tmp_path / "in.parquet", row_group_size=ROWS)
    assert growth("read", tmp_path / "in.parquet") < BOUND

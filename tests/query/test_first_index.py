"""The first payload index of a collection, made while others write and search."""

import subprocess
import sys

SCRIPT = """
import threading, time
import numpy as np
import pqdb

for _ in range(4):
    with pqdb.open(upkeep="manual") as db:
        things, done = db.create_collection("things", 8), threading.Event()

        def write(first):
            while not done.is_set():
                things.upsert(range(first, first + 200), np.ones((200, 8)), [{"k": str(n)} for n in range(200)])
                first += 200

        def ask():
            while not done.is_set():
                assert things.count(filter=("k", "3")) * 200 <= len(things)

        threads = [threading.Thread(target=write, args=(n << 32,)) for n in range(3)] + [threading.Thread(target=ask)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        things.create_payload_index("k", "keyword")
        done.set()
        for thread in threads:
            thread.join()
        assert things.count(filter=("k", "3")) * 200 == len(things)
        assert things.verify() == []
print("done")
"""


def test_it_waits_for_writers_who_do_not_wait_for_it() -> None:
    """Opening its tables held the interpreter while it waited for a writer, who waited for the interpreter: all threads
    of the process stopped for good.
    """
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout.split() == ["done"], ran.stderr

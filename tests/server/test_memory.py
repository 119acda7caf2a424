"""Memory that was needed for a moment goes back to the system, on any thread."""

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import threading
    import numpy as np
    import pqdb
    import psutil
    from pqdb_server.memory import few_heaps

    print(few_heaps())
    np.ones(4_000_000)  # freed at once: glibc's threshold rises
    pqdb.open(upkeep="manual").close()

    def work():
        arrays = [np.ones(500_000) for _ in range(50)]
        last = np.ones(1_000)
        del arrays
        return last

    kept = []
    before = psutil.Process().memory_info().rss
    threads = [threading.Thread(target=lambda: kept.append(work())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print((psutil.Process().memory_info().rss - before) // 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_large_arrays_of_threads_are_given_back():
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], capture_output=True, text=True, timeout=120, check=True
    )
    could, grown = ran.stdout.split()
    if could == "False":
        pytest.skip("another allocator than glibc's")
    assert int(grown) < 50

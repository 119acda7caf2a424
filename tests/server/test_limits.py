"""What the service asks of the system: memory needed for a moment goes back, on any thread; files may be many."""

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
    import threading
    import numpy as np
    import pqdb
    import psutil
    from pqdb_server.limits import few_heaps

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


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_the_limit_of_open_files_is_raised_as_far_as_it_goes():
    script = """
        import resource
        from pqdb_server.limits import many_files

        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 640))
        print(many_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.split() == ["640", "640", "640"]

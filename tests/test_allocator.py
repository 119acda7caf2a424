"""What the allocator does with freed memory: in processes of their own, for it is asked of the whole process."""

import os
import subprocess
import sys

import pytest

FEW, MANY = 1024, 40 * 256  # pages of two megabytes, and half of those of 40

BEGIN = """
import os, resource, threading
import numpy as np
from pqdb.allocator import give_back, keep_freed, return_early

def touched(arrays=40):
    "Pages that the system had to make for arrays of two megabytes, one after another."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(arrays):
        np.ones(1 << 18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

touched()
return_early()
give_back()
"""


def run(script: str, **environment: str) -> list[int]:
    own = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script], capture_output=True, text=True, check=True, env=own | environment
    )
    return [int(word) for word in done.stdout.split()]


pytestmark = pytest.mark.skipif(
    not hasattr(os, "confstr") or not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"),
    reason="another allocator",
)


def test_freed_arrays_go_back_at_once_and_are_kept_while_somebody_asks_for_it() -> None:
    early, kept, early_again = run(
        "print(touched())\nwith keep_freed():\n    touched(1)\n    print(touched())\nprint(touched())\n"
    )
    assert early >= MANY
    assert kept <= FEW
    assert early_again >= MANY


def test_they_are_kept_until_the_last_who_keeps_has_ended() -> None:
    inner, outer, after = run(
        "with keep_freed():\n"
        "    with keep_freed():\n"
        "        touched(1)\n"
        "        print(touched())\n"
        "    return_early()\n"  # another database is opened meanwhile
        "    print(touched())\n"
        "print(touched())\n"
    )
    assert max(inner, outer) <= FEW
    assert after >= MANY


def test_an_error_ends_the_keeping() -> None:
    (after,) = run("try:\n    with keep_freed():\n        raise ValueError\nexcept ValueError:\n    print(touched())\n")
    assert after >= MANY


def test_a_forked_child_keeps_nothing() -> None:
    (child,) = run(
        "with keep_freed():\n"
        "    number = os.fork()\n"
        "    if not number:\n"
        "        give_back()\n"
        "        print(touched(), flush=True)\n"
        "        os._exit(0)\n"
        "    os.waitpid(number, 0)\n"
    )
    assert child >= MANY


def test_what_the_host_says_is_left_alone() -> None:
    (kept,) = run(
        "touched(1)\nprint(touched())\n", MALLOC_MMAP_THRESHOLD_="33554432", MALLOC_TRIM_THRESHOLD_="33554432"
    )
    assert kept <= FEW

"""Every kernel family, and no compiled kernel at all, finds the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pqdb.kernels import _cpu
from tests.compiled import compiled
from tests.search import families

ROOT = Path(__file__).parent.parent.parent


@compiled
@pytest.mark.parametrize("family", ["plain", "avx2", "avx512"])
def test_a_forced_family_finds_the_same(family: str) -> None:
    if family not in _cpu.available():
        pytest.skip(f"{family} kernels need {', '.join(sorted(_cpu.NEEDS[family]))}: not on this machine")
    if family == _cpu.KERNEL:
        pytest.skip(f"{family} is what this process runs: the others are compared with it")
    done = subprocess.run(
        [sys.executable, "-m", "tests.search.families"],
        cwd=ROOT, env=os.environ | {"PQDB_KERNEL": family}, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for theirs, ours in zip(json.loads(done.stdout), families.found(), strict=True):
        assert theirs["ids"] == ours["ids"] == ours["alone"] == theirs["alone"]
        np.testing.assert_allclose(theirs["scores"], ours["scores"], rtol=1e-5, atol=1e-6)

"""The mark of tests too long for the interpreter: skipped, visibly, where numba compiles nothing."""

import os

import pytest

compiled = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"),
    reason="NUMBA_DISABLE_JIT is set: kernels run in the interpreter, this much data would take minutes",
)

"""The oldest client we promise to serve, by the very tests that the newest passes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
HOME = Path(sys.prefix) / "oldest-client"
TESTS = ["client", "aliases", "changes", "updates", "sparse", "transport"]


@pytest.mark.skipif(not HOME.is_dir(), reason="`make test-integration` installs it: .venv/oldest-client")
def test_the_oldest_client_passes_what_the_newest_does():
    env = {**os.environ, "PYTHONPATH": str(HOME)}
    files = [f"tests/server/test_{name}.py" for name in TESTS]
    tell = "import qdrant_client as q, importlib.metadata as m; print(m.version('qdrant-client'), q.__file__)"
    asked = [sys.executable, "-c", tell]
    version, where = subprocess.run(asked, env=env, capture_output=True, text=True, check=True).stdout.split()
    assert version.startswith("1.16.")
    assert Path(where).is_relative_to(HOME)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:]
    assert int(re.search(r"(\d+) passed", ran.stdout)[1]) >= 75

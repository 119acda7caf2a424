"""The floors of the house: the import contracts of pyproject.toml hold, and each of them would notice."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

TRESPASSES = [  # a file, a line it must not have, the contract that says so
    ("pqdb/query/__init__.py", "import pqdb.search.pipeline", "floors"),
    ("pqdb/quantization/__init__.py", "import pqdb.partition", "floors"),
    ("pqdb/hits.py", "import pqdb.config", "floors"),
    ("pqdb/metric.py", "import pqdb.hits", "floors"),
    ("pqdb/store/layout.py", "import pqdb.store.points", "no-circles"),
    ("pqdb/collection.py", "import pqdb_server.app", "guests"),
    ("pqdb/collection.py", "import bench", "guests"),
    ("pqdb_server/app.py", "from pqdb.store import points", "front-door"),
    ("bench/__init__.py", "from pqdb.kernels import scan", "front-door"),
    ("pqdb/demo/embed.py", "from pqdb.kernels import scan", "cli-front-door"),
    ("pqdb/store/__init__.py", "import pqdb.kernels.scan", "store-blind"),
    ("pqdb/collection.py", "import lmdb", "lmdb-home"),
    ("pqdb/search/__init__.py", "from numba import njit", "numba-home"),
    ("pqdb/collection.py", "import fastapi", "engine-light"),
    ("pqdb/search/__init__.py", "import orjson", "engine-light"),
    ("pqdb/upkeep/__init__.py", "from tqdm import tqdm", "cli-words"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to trespass in."""
    folder = tmp_path_factory.mktemp("house")
    leave_out = shutil.ignore_patterns("__pycache__", "results", "published")
    for source, name in (("pqdb", "pqdb"), ("server", "pqdb_server"), ("bench", "bench")):
        shutil.copytree(ROOT / source, folder / name, ignore=leave_out)
    (folder / "tests").mkdir()
    (folder / "tests" / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_every_room_imports_only_rooms_below_it() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_has_its_trespass() -> None:
    assert {contract["id"] for contract in CONTRACTS} == {contract for _, _, contract in TRESPASSES}


@pytest.mark.parametrize(("file", "line", "contract"), TRESPASSES)
def test_a_trespass_is_noticed(house: Path, file: str, line: str, contract: str) -> None:
    room = house / file
    innocent = room.read_text()
    room.write_text(f"{innocent}\n{line}\n")
    try:
        result = lint(house)
    finally:
        room.write_text(innocent)
    name = next(each["name"] for each in CONTRACTS if each["id"] == contract)
    assert result.returncode == 1
    assert f"{name} BROKEN" in result.stdout


def test_a_room_without_a_floor_is_noticed(house: Path) -> None:
    attic = house / "pqdb" / "attic.py"
    attic.write_text('"""A room nobody gave a floor."""\n')
    try:
        result = lint(house)
    finally:
        attic.unlink()
    assert result.returncode == 1
    assert "attic" in result.stdout

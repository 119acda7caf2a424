"""The project as others install it: a wheel with every room, few dependencies, an honest lock."""

import email
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK_LINES = [
    line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
]

FIRST_STEPS = """
import sys

import numpy as np

import pqdb

rng = np.random.default_rng(0)
vectors = rng.standard_normal((200, 16)).astype(np.float32)
with pqdb.open("data") as db:
    things = db.create_collection("things", dim=16)
    things.upsert(list(range(200)), vectors, [{"row": row} for row in range(200)])
with pqdb.open("data", read_only=True) as db:
    hits = db["things"].search(vectors[7], k=3)
assert hits.ids[0] == 7 and hits[0].payload == {"row": 7}, hits
print(pqdb.__file__)
"""


def run(
    *command: str | Path, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: building leaves files behind."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pqdb", "server"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        "dist",
        ".",
    ]
    built = run(*build, cwd=source)
    assert built.returncode == 0, built.stdout + built.stderr
    return next((source / "dist").glob("pqdb-*.whl"))


@pytest.fixture(scope="module")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of a new environment: the wheel and what it asks for, no extras, at the lock's versions."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)  # our own pip fills it: one of its own takes longer than all the rest
    install = ["--python", folder / "bin" / "python", "install", "--quiet", "--no-compile"]
    wanted = ["--constraint", ROOT / "constraints.txt", wheel]
    installed = run(sys.executable, "-m", "pip", *install, *wanted, cwd=folder)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return folder / "bin"


def test_the_wheel_holds_every_source_file_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    engine = {path.relative_to(ROOT).as_posix() for path in sources(ROOT / "pqdb")}
    server = {
        f"pqdb_server/{path.relative_to(ROOT / 'server').as_posix()}" for path in sources(ROOT / "server")
    }
    assert packed == engine | server


def sources(folder: Path) -> Iterator[Path]:
    kinds = {".py", ".pyi", ".html", ".css", ".js"}
    return (path for path in folder.rglob("*") if path.suffix in kinds or path.name == "py.typed")


def test_the_engine_alone_asks_for_little(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        headers = email.message_from_bytes(archive.read(name))
    needs = [Requirement(line) for line in headers.get_all("Requires-Dist", [])]
    alone = {need.name for need in needs if need.marker is None}
    assert alone == {"numpy", "numba", "lmdb", "pyroaring", "regex", "click", "tqdm"}
    assert headers["License-Expression"] == "Apache-2.0"


def test_an_installed_pqdb_works_outside_the_checkout(empty_environment: Path, tmp_path: Path) -> None:
    # an empty home: the kernel cache is cold and nothing of the developer's is seen
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    python = empty_environment / "python"
    steps = run(python, "-I", "-W", "error", "-c", FIRST_STEPS, cwd=tmp_path, env=env)
    assert steps.returncode == 0, steps.stderr
    assert str(empty_environment.parent) in steps.stdout
    asked = run(empty_environment / "pqdb", "serve", "data", cwd=tmp_path, env=env)
    assert asked.returncode == 1
    assert 'pip install "pqdb[server]"' in asked.stderr
    assert "Traceback" not in asked.stderr
    demo = run(empty_environment / "pqdb", "demo", cwd=tmp_path, env=env)
    assert demo.returncode == 1
    assert 'pip install "pqdb[demo]"' in demo.stderr


def test_importing_pqdb_brings_no_guests() -> None:
    code = "import sys, pqdb; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = run(sys.executable, "-W", "error", "-c", code, cwd=ROOT)
    assert loaded.returncode == 0, loaded.stderr
    guests = {
        "click",
        "tqdm",
        "fastapi",
        "starlette",
        "uvicorn",
        "pydantic",
        "orjson",
        "wordllama",
        "matplotlib",
    }
    assert not guests & set(loaded.stdout.split())


def test_the_lock_is_exact_versions_only() -> None:
    assert LOCK_LINES
    odd = [line for line in LOCK_LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]
    assert odd == []


def test_the_lock_holds_all_that_the_extras_reach() -> None:
    locked = {canonicalize_name(line.partition("==")[0]) for line in LOCK_LINES}
    extras = PROJECT["optional-dependencies"]
    waiting = [
        Requirement(line)
        for line in PROJECT["dependencies"] + [need for each in extras.values() for need in each]
    ]
    seen: set[str] = set()
    missing = set()
    while waiting:
        need = waiting.pop()
        name = canonicalize_name(need.name)
        if str(need) in seen or name == "pqdb":
            continue
        seen.add(str(need))
        missing |= {name} - locked
        waiting.extend(reached_by(need))
    assert missing == set()


def reached_by(need: Requirement) -> list[Requirement]:
    """What an installed package asks for on this machine; nothing of one that is not installed."""
    try:
        lines = metadata.requires(need.name) or []
    except metadata.PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    extras = need.extras | {""}
    return [
        each
        for each in found
        if not each.marker or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert headings[0] == PROJECT["version"]

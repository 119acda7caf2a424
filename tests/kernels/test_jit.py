"""Compiled kernels: kept on disk under a key that knows the source, and the same arithmetic without the
compiler."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pqdb.errors import KernelCacheWarning
from pqdb.kernels import _jit
from tests.compiled import compiled

ROOT = Path(__file__).parent.parent.parent
ONE_KERNEL = """
import warnings
warnings.simplefilter("always")
import numpy as np
from pqdb.kernels import topk, _jit
heap = np.array([1, 2], np.float32)
topk.push(heap, 3.0)
print(_jit.kernels_hash(), sorted(heap.tolist()), sum(topk.push.stats.cache_hits.values()))
"""


def in_a_process(code: str, root: Path = ROOT, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {key: value for key, value in os.environ.items() if key not in ("PQDB_CACHE_DIR", "XDG_CACHE_HOME")}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=root, env=env | variables, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip


@compiled
def test_a_second_process_finds_the_kernel_the_first_compiled(tmp_path: Path) -> None:
    first = in_a_process(ONE_KERNEL, PQDB_CACHE_DIR=str(tmp_path))
    assert first.stdout.split()[1:] == ["[2.0,", "3.0]", "0"], first.stderr
    assert "compiling" in first.stderr  # and says what is going on
    second = in_a_process(ONE_KERNEL, PQDB_CACHE_DIR=str(tmp_path))
    assert second.stdout.split()[1:] == ["[2.0,", "3.0]", "1"]
    assert second.stderr == ""
    folder = tmp_path / "pqdb" / f"kernels-{first.stdout.split()[0]}-{_jit.KERNEL}"
    assert list(folder.glob("*.nbi"))


@compiled
def test_an_edited_file_of_the_room_is_another_key(tmp_path: Path) -> None:
    """numba watches a kernel's own file only: an edited intrinsic would leave stale code behind."""
    shutil.copytree(ROOT / "pqdb", tmp_path / "pqdb", ignore=shutil.ignore_patterns("__pycache__"))
    cache = {"PQDB_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    before = in_a_process(ONE_KERNEL, tmp_path, **cache).stdout.split()
    assert before[-1] == "0"
    with (tmp_path / "pqdb" / "kernels" / "intrinsics.py").open("a") as file:
        file.write("# another word\n")
    after = in_a_process(ONE_KERNEL, tmp_path, **cache).stdout.split()
    assert after[0] != before[0]
    assert after[-1] == "0"
    assert len(list((tmp_path / "cache" / "pqdb").iterdir())) == 2


@compiled
def test_without_a_writable_folder_it_warns_and_works(tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # a folder inside a file cannot be made, not even by root
    done = in_a_process(ONE_KERNEL, PQDB_CACHE_DIR=str(tmp_path / "file"))
    assert done.stdout.split()[1:3] == ["[2.0,", "3.0]"], done.stderr
    assert "KernelCacheWarning: compiled kernels cannot be kept in" in done.stderr
    assert "PQDB_CACHE_DIR can name a writable folder" in done.stderr
    assert done.stderr.count("KernelCacheWarning") == 1  # once a process, not once a kernel


def test_the_warning_is_of_our_own_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PQDB_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(KernelCacheWarning, match="cannot be kept"):
        assert _jit.cache_folder.__wrapped__() is None


def test_the_cache_folder_names_source_and_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQDB_CACHE_DIR", str(tmp_path))
    folder = _jit.cache_folder.__wrapped__()
    assert folder == tmp_path / "pqdb" / f"kernels-{_jit.kernels_hash()}-{_jit.KERNEL}"
    assert folder.is_dir()


def test_arithmetic_is_the_same_without_the_compiler() -> None:
    """Every plain kernel run as plain Python, by the same tests: what coverage then says of kernels is
    honest."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        pytest.skip("NUMBA_DISABLE_JIT is set: this run is that test")
    names = "scan together tables route rerank exact vectors topk gather pack encode kmeans"
    files = [f"tests/kernels/test_{name}.py" for name in names.split()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", *files],
        cwd=ROOT, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, timeout=280,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


MAKERS = ("np.empty(", "np.zeros(", "np.ones(", "np.full(")
HELD_ELSEWHERE = {"nearest_of_panels", "products_of_panels"}  # named again in the loop that their addresses are used in


def arrays_made(function: ast.FunctionDef) -> set[str]:
    """Names that a function gives to arrays of its own."""
    made = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = (
                zip(target.elts, value.elts, strict=True)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            made |= {ast.unparse(name) for name, call in pairs if ast.unparse(call).startswith(MAKERS)}
    return made


def addresses_taken(function: ast.FunctionDef) -> set[str]:
    """Names of what it takes the address of."""
    found = {ast.unparse(node) for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    return {each.removesuffix(".ctypes.data") for each in found if each.endswith(".ctypes.data")}


def dangling(source: str) -> list[str]:
    """Functions that take the address of an array they made: numba frees it after the last use of its name."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return [each.name for each in functions if arrays_made(each) & addresses_taken(each)]


def test_no_kernel_takes_the_address_of_an_array_of_its_own() -> None:
    assert dangling("def f(n):\n    a, b = np.empty(n), 1\n    g(np.uint64(a.ctypes.data))") == ["f"]
    assert dangling("def f(a):\n    g(np.uint64(a.ctypes.data))\n    b = np.zeros(3)\n    return b") == []
    found = {name for path in (ROOT / "pqdb" / "kernels").glob("*.py") for name in dangling(path.read_text())}
    assert found == HELD_ELSEWHERE

"""Which kernels run here: the host is asked, never guessed at, and what is forced is checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import config

from pqdb.errors import KernelError
from pqdb.kernels import _cpu

ROOT = Path(__file__).parent.parent.parent


def in_a_process(code: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_plain_kernels_are_always_there_and_the_best_comes_first() -> None:
    usable = _cpu.available()
    assert usable[-1] == "plain"
    assert usable == [name for name in _cpu.NEEDS if name in usable]


def test_the_best_family_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQDB_KERNEL", raising=False)
    assert _cpu.choose() == _cpu.available()[0]


@pytest.mark.parametrize("name", ["plain", "avx2", "avx512"])
def test_an_available_family_can_be_forced(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name not in _cpu.available():
        pytest.skip(f"this machine cannot run {name} kernels")
    monkeypatch.setenv("PQDB_KERNEL", name)
    assert _cpu.choose() == name


def test_an_unknown_family_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQDB_KERNEL", "nonsense")
    with pytest.raises(KernelError, match=r"PQDB_KERNEL='nonsense' is not one of avx512, avx2, neondot, neon, plain"):
        _cpu.choose()


def test_a_family_the_machine_lacks_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PQDB_KERNEL", "avx2")
    monkeypatch.setattr(_cpu, "host_features", lambda: frozenset({"avx2", "fma"}))
    with pytest.raises(KernelError, match=r"needs f16c"):
        _cpu.choose()


def test_without_the_jit_only_plain_kernels_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cpu, "JIT_OFF", True)
    assert _cpu.available() == ["plain"]


@pytest.mark.parametrize(
    ("features", "name", "family"),
    [
        ("+avx2,+f16c,+fma", None, "avx2"),
        ("", None, "plain"),
        (None, "generic", "plain"),
        ("+avx2", None, "plain"),
    ],
)
def test_what_numba_is_told_to_compile_for_is_what_counts(
    monkeypatch: pytest.MonkeyPatch, features: str | None, name: str | None, family: str
) -> None:
    """An instruction numba was told not to use would abort the process when it is compiled."""
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(_cpu, "JIT_OFF", False)
    assert _cpu.available()[0] == family


def test_another_architecture_runs_plain_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert _cpu.available() == ["plain"]


@pytest.mark.parametrize(
    ("present", "families"),
    [
        ({"neon": True, "dotprod": True}, ["neondot", "neon", "plain"]),
        ({"neon": True, "dotprod": False}, ["neon", "plain"]),
        ({}, ["neon", "plain"]),
    ],
)
def test_every_aarch64_has_neon_and_sdot_where_llvm_says_so(
    monkeypatch: pytest.MonkeyPatch, present: dict[str, bool], families: list[str]
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(_cpu.llvm, "get_host_cpu_features", lambda: present)
    monkeypatch.setattr(config, "CPU_FEATURES", None)
    monkeypatch.setattr(config, "CPU_NAME", None)
    monkeypatch.setattr(_cpu, "JIT_OFF", False)
    assert _cpu.available() == families


def test_importing_pqdb_under_nonsense_is_an_error_of_ours() -> None:
    done = in_a_process("import pqdb", PQDB_KERNEL="nonsense")
    assert done.returncode != 0
    assert "KernelError: PQDB_KERNEL='nonsense' is not one of" in done.stderr

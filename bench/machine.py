"""The machine card: what a number was measured on, without which it says nothing."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_TELLING_FLAGS = ("sse4_2", "avx", "avx2", "fma", "f16c", "gfni", "avx_vnni", "amx_int8")
_ROOT = Path(__file__).resolve().parent.parent


def card() -> dict[str, Any]:
    """CPU, its instruction sets, memory, versions, the commit and the date."""
    return {
        "cpu": _cpuinfo("model name") or platform.processor(),
        "cpu family/model/stepping": "/".join(_cpuinfo(key) or "?" for key in ("cpu family", "model", "stepping")),
        "flags": _flags(),
        "cores": os.cpu_count(),
        "cores usable": len(os.sched_getaffinity(0)),
        "memory GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "caches": _caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("numpy", "numba", "llvmlite", "lmdb")},
        "kernel forced": os.environ.get("PQDB_KERNEL", ""),
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load at start": [round(load, 2) for load in os.getloadavg()],
    }


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key), "")


def _flags() -> list[str]:
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return [flag for flag in flags if flag in _TELLING_FLAGS or flag.startswith(("avx512", "sve", "asimd"))]


def _caches() -> dict[str, str]:
    """Size of each cache of core 0, as the kernel tells it."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            name, kind, size = ((index / part).read_text().strip() for part in ("level", "type", "size"))
        except OSError:
            continue
        found[f"L{name} {kind}"] = size
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit, with a mark when the engine or the benches differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "pqdb", "bench")
    except (OSError, subprocess.CalledProcessError):
        return "no git here"
    return head + (" + uncommitted changes" if changed else "")


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=_ROOT, check=True, capture_output=True, text=True, timeout=10)
    return ran.stdout.strip()

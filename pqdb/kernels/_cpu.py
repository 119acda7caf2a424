"""Which kernels this machine can run, asked of the host before anything is compiled.

An instruction the CPU lacks makes LLVM abort the process (not an exception), so nothing here may guess.
"""

import os
import platform
from typing import Any

import llvmlite.binding as llvm
import numba.core.config

from pqdb.errors import KernelError

config: Any = numba.core.config  # its names are set at run time
JIT_OFF = bool(config.DISABLE_JIT)

NEEDS = {
    "avx512": frozenset({"avx512f", "avx512bw", "avx512vl", "avx512vbmi", "avx512vnni", "gfni", "avx2", "f16c", "fma"}),
    "avx2": frozenset({"avx2", "f16c", "fma"}),
    "neondot": frozenset({"neon", "dotprod"}),
    "neon": frozenset({"neon"}),
    "plain": frozenset[str](),
}  # best first


def host_features() -> frozenset[str]:
    """Feature names numba will compile for: the host's, unless NUMBA_CPU_FEATURES or NUMBA_CPU_NAME says otherwise."""
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64", "aarch64", "arm64"):
        return frozenset()
    always = frozenset({"neon"} if machine in ("aarch64", "arm64") else ())  # there is no AArch64 without it
    if config.CPU_FEATURES is not None:
        return always | {word[1:] for word in config.CPU_FEATURES.split(",") if word.startswith("+")}
    if config.CPU_NAME not in (None, "host"):
        return always
    return always | frozenset(name for name, present in llvm.get_host_cpu_features().items() if present)


def available() -> list[str]:
    """Kernel families this process can run, best first; only plain ones when numba's JIT is off."""
    features = frozenset[str]() if JIT_OFF else host_features()
    return [name for name, needs in NEEDS.items() if needs <= features]


def choose() -> str:
    """The kernel family to use: PQDB_KERNEL if set, else the best the machine has.

    Raises KernelError if PQDB_KERNEL names a family that is unknown or that this machine lacks.
    """
    usable = available()
    forced = os.environ.get("PQDB_KERNEL", "")
    if not forced:
        return usable[0]
    if forced not in NEEDS:
        raise KernelError(f"PQDB_KERNEL={forced!r} is not one of {', '.join(NEEDS)}")
    if forced not in usable:
        missing = ", ".join(sorted(NEEDS[forced] - host_features())) or "numba's JIT"
        raise KernelError(f"PQDB_KERNEL={forced!r} needs {missing}, which this process does not have")
    return forced


KERNEL = choose()
SIMD = KERNEL != "plain"
FAMILY = KERNEL if SIMD else "avx2"  # named in any case: plain kernels never call them

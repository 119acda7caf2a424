"""How much of a mapped file lies in memory, and how much memory of its own the process has: what Linux says."""

import os
import re
from contextlib import suppress
from pathlib import Path

_SMAPS, _STATUS = Path("/proc/self/smaps"), Path("/proc/self/status")


def resident_bytes(file: Path) -> int | None:
    """Bytes of a file that this process has mapped and that are in memory; None where the system does not say.

    They are the kernel's to take back, and other processes that map the file share them.
    """
    wanted, found, inside = os.path.realpath(file), 0, False
    try:
        with _SMAPS.open("rb") as lines:
            for line in lines:
                if line.startswith(b"Rss:"):
                    found += 1024 * int(line.split()[1]) if inside else 0
                elif b"-" in line.partition(b" ")[0]:  # the head of a mapping; others are "Name: …"
                    inside = os.fsdecode(line.rstrip(b"\n")).endswith(f" {wanted}")
    except OSError:
        return None
    return found


def anonymous_bytes() -> int | None:
    """Bytes of this process's memory that are no file's; None where the system does not say."""
    try:
        match = re.search(rb"^RssAnon:\s+(\d+) kB", _STATUS.read_bytes(), re.MULTILINE)
    except OSError:
        return None
    return None if match is None else 1024 * int(match[1])


def allocated_bytes(folder: Path, but: str = "") -> int:
    """Bytes that a folder's files take on the disk, in whole blocks as `du` counts them, but for those of one name."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):  # gone since
            total += 512 * file.lstat().st_blocks if file.name != but and not file.is_dir() else 0
    return total

"""Where a database may lie: on a disk of this machine. Over a network a memory map is not shared, and locks fail."""

import os
from pathlib import Path

from pqdb.errors import StorageError

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "davfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "pvfs2", "smb3"}
    | {"smbfs", "fuse.ceph", "fuse.cephfs", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys"}
    | {"fuse.juicefs", "fuse.mountpoint-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"}
)


def refuse_network(path: Path) -> None:
    """Raise StorageError where a path, which need not be there yet, lies on a network file system."""
    found = filesystem_of(path)
    if found is not None and found[0] in NETWORK:
        raise StorageError(
            f"{path} lies on a network file system ({found[0]}, mounted at {found[1]}). The processes that share a "
            "database share a memory map and locks, which work on disks of one machine only: keep it on a local disk, "
            "and a backup here"
        )


def filesystem_of(path: Path) -> tuple[str, str] | None:
    """(type, mount point) of the file system a path lies on; None where the system does not tell."""
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    best: tuple[str, str] | None = None
    for line in lines:  # number, parent, device, root, mount point, options, …, "-", type, …
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or not after:
            continue
        point = _unescaped(words[4])
        inside = point == "/" or real == point or real.startswith(point + "/")
        if inside and (best is None or len(point) >= len(best[1])):  # of two at one place the later lies on top
            best = (after.split()[0], point)
    return best


def _unescaped(word: str) -> str:
    """Spaces and the like are written as octal numbers there."""
    for code in ("040", "011", "012", "134"):
        word = word.replace(f"\\{code}", chr(int(code, 8)))
    return word

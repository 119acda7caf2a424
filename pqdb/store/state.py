"""The state record of a points store: counts, and which pieces and page groups changed when.

Database ``main``, key ``state``, sealed: the header below, then u64 version of every live piece, then u64
version of every group of 64 meta pages. A version is the sequence of the commit that last changed the thing
in place, or took away a page of its dead rows, so a reader of another snapshot knows what to read anew.
(Appending rows to meta pages does not count: a view always resolves the pages beyond the last full one it knew.)

``dropped``, sealed, is the u64 sequence of the commit that last took away source runs of dead rows, of any vector; it
is missing where none ever did.

A named vector has a record of its own under ``state`` and its u16 slot, big-endian: of it count the living
rows and the versions of its pieces, as of the last commit that changed any. Version 0: no row is alive there.
"""

import struct
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError
from pqdb.store.layout import META_GROUP, META_ROWS, PIECE_ROWS, seal, unseal

KEY, DROPPED = b"state", b"dropped"
_SLOT = struct.Struct(">H")
_HEADER = struct.Struct("<QQQQQQII")  # magic, rows, live, seq, manifest_seq, forgotten_runs, pieces, groups
_MAGIC = int.from_bytes(b"pqdbstat", "little")

Versions = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class State:
    """Counts and versions as of one commit."""

    n_rows: int
    n_live: int
    seq: int
    manifest_seq: int
    forgotten_runs: int
    piece_versions: Versions  # (ceil(n_rows / PIECE_ROWS),) uint64
    group_versions: Versions  # (ceil(n_rows / (META_ROWS * META_GROUP)),) uint64

    @classmethod
    def empty(cls) -> "State":
        """The state of a store nothing was written to."""
        none = np.zeros(0, np.uint64)
        return cls(0, 0, 0, 0, 0, none, none)

    @classmethod
    def from_bytes(cls, value: bytes | memoryview | None, where: str) -> "State":
        """Read a state record; CorruptError where it is not one."""
        if value is None:
            raise CorruptError(f"{where} has no state record")
        record = unseal(value, f"the state record of {where}")
        magic, rows, live, seq, manifest_seq, forgotten, pieces, groups = _HEADER.unpack_from(record)
        if magic != _MAGIC or len(record) != _HEADER.size + 8 * (pieces + groups):
            raise CorruptError(
                f"the state record of {where} ({len(record)} bytes) is not one of this version"
            )
        versions = np.frombuffer(record, np.uint64, offset=_HEADER.size)
        return cls(rows, live, seq, manifest_seq, forgotten, versions[:pieces], versions[pieces:])

    def to_bytes(self) -> bytes:
        """The sealed record."""
        header = _HEADER.pack(
            _MAGIC, self.n_rows, self.n_live, self.seq, self.manifest_seq, self.forgotten_runs,
            len(self.piece_versions), len(self.group_versions),
        )  # fmt: skip
        return seal(header + self.piece_versions.tobytes() + self.group_versions.tobytes())

    def of_slot(self, other: "State") -> "State":
        """What is true of a slot, by its own record: pieces beyond its last change have version 0, and no row alive."""
        versions = _padded(other.piece_versions, len(self.piece_versions))
        return replace(self, n_live=other.n_live, forgotten_runs=other.forgotten_runs, piece_versions=versions)

    def grown(self, n_rows: int) -> "State":
        """The same with more rows; new pieces and groups have version 0 until they are written."""
        return replace(
            self,
            n_rows=n_rows,
            piece_versions=_padded(self.piece_versions, -(-n_rows // PIECE_ROWS)),
            group_versions=_padded(self.group_versions, -(-n_rows // (META_ROWS * META_GROUP))),
        )


def key_of(slot: int) -> bytes:
    """The key of a slot's state record."""
    return KEY + _SLOT.pack(slot) if slot else KEY


def dropped_to_bytes(seq: int) -> bytes:
    """The record of a commit that takes runs away."""
    return seal(seq.to_bytes(8, "little"))


def dropped_from_bytes(value: bytes | memoryview | None, where: str) -> int:
    """The sequence of that commit, 0 where there was none. Raises CorruptError."""
    return 0 if value is None else int.from_bytes(unseal(value, f"the record of dropped runs of {where}"), "little")


def _padded(versions: Versions, length: int) -> Versions:
    longer = np.zeros(length, np.uint64)
    longer[: len(versions)] = versions
    return longer

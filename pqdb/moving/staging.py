"""A collection's points on their way into a file: vectors in one plain file, ids and payloads as lines in another.

Most of an export's time goes into reading the collection, and no form of file but the plainest can be gone on with
after a kill. So pages are put here first, and a record says up to where they are whole; the file itself is written from
here in one go.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.errors import StorageError
from pqdb.hits import Id
from pqdb.metric import Metric
from pqdb.moving import records
from pqdb.moving.batch import Batch, Kinds

PART_BYTES = 8 << 20  # of vectors, in a batch that is written
MOST_ROWS = 16_384
NAMED_ROWS = 1_000


@dataclass(frozen=True)
class Mark:
    """How much of what lies in the folder is whole."""

    kinds: Kinds = field(default_factory=Kinds)
    lines: int = 0  # bytes
    following: Id | None = None  # the id to go on with
    whole: bool = False  # nothing more comes

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Mark":
        """From a record."""
        return cls(Kinds(**record["kinds"]), record["lines"], record["following"], record["whole"])


class Staging:
    """A folder beside the file that is to be written."""

    def __init__(self, target: Path, dim: int, metric: Metric, about: dict[str, Any]) -> None:
        self.folder = target.parent / f"{target.name}.parts"
        self.dim, self.metric = dim, metric  # dim 0: vectors have names
        self._about = about  # what must be the same for an export to go on
        self._vectors, self._lines = self.folder / "vectors.f32", self.folder / "lines.jsonl"
        self.mark = Mark()

    @property
    def kinds(self) -> Kinds:
        """What occurs among the points that are here."""
        return self.mark.kinds

    def begin(self, resume: bool) -> None:
        """Take up what is here of the same export, or begin afresh. Raises StorageError."""
        record = records.load(self.folder / "record.json") if resume else None
        try:
            if record is not None and record["about"] == self._about:
                self.mark = Mark.of(record["mark"])
                self._cut(self._vectors, self._bytes_of(self.mark.kinds.points))
                self._cut(self._lines, self.mark.lines)
                return
        except (KeyError, TypeError, ValueError):
            pass  # not a record of ours, or files that are shorter than it says
        self.mark = Mark(Kinds(dim=self.dim))
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self._vectors.touch()
            self._lines.touch()
        except OSError as error:
            raise StorageError(error.errno, f"{self.folder} cannot be made: {error.strerror}") from error

    def add(self, batch: Batch, following: Id | None) -> None:
        """Put a page behind what is here; following: the id that the next begins with, None at the end."""
        named = batch.vectors if not self.dim else [None] * len(batch)
        points = zip(batch.ids, batch.payloads, named, strict=True)
        lines = b"".join(json.dumps(point, ensure_ascii=False).encode() + b"\n" for point in points)
        if self.dim:
            _append(self._vectors, np.ascontiguousarray(batch.vectors, "<f4").tobytes())
        _append(self._lines, lines)
        kinds = self.mark.kinds.joined(batch) if len(batch) else self.mark.kinds
        self.mark = Mark(kinds, self.mark.lines + len(lines), following, following is None)
        records.save(self.folder / "record.json", {"about": self._about, "mark": asdict(self.mark)})

    def batches(self) -> Iterator[Batch]:
        """All that is here."""
        rows = int(np.clip(PART_BYTES // (4 * self.dim), 1, MOST_ROWS)) if self.dim else NAMED_ROWS
        left = self.mark.kinds.points
        with self._vectors.open("rb") as vectors, self._lines.open("rb") as lines:
            while left:
                n = min(rows, left)
                ids, payloads, named = zip(*(json.loads(lines.readline()) for _ in range(n)), strict=True)
                rest = vectors.read(self._bytes_of(n))
                array = np.frombuffer(rest, "<f4").reshape(n, self.dim) if self.dim else list(named)
                yield Batch(list(ids), array, list(payloads))
                left -= n

    def remove(self) -> None:
        """The file is whole: what led to it goes."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _bytes_of(self, rows: int) -> int:
        return 4 * self.dim * rows

    @staticmethod
    def _cut(path: Path, size: int) -> None:
        """Forget what was written behind the record. Raises ValueError where there is less than it says."""
        if not path.exists() or path.stat().st_size < size:
            raise ValueError(f"{path} is shorter than {size} bytes")
        os.truncate(path, size)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

"""What goes between a file and a collection: some points, and what a file calls their parts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pqdb.errors import InputError
from pqdb.hits import Id, Payload
from pqdb.metric import Metric

Progress = Callable[[int, int | None], None]  # points done, of how many; None: not known


@dataclass(frozen=True)
class Batch:
    """Some points. The three run alongside each other."""

    ids: list[Id]
    vectors: Any  # (n, dim) of any numbers, or n mappings of names to vectors, as far as a point has any
    payloads: list[Payload | None]

    def __len__(self) -> int:
        return len(self.ids)

    def head(self, n: int) -> "Batch":
        """The first n points."""
        return Batch(self.ids[:n], self.vectors[:n], self.payloads[:n])


@dataclass(frozen=True)
class Columns:
    """What a file calls the parts of a point."""

    id: str | None = "id"  # None: ids count from 0
    vector: str = "vector"
    payload: str = "payload"  # of JSON objects; a file need not have it
    fields: tuple[str, ...] | None = None  # other columns that become fields of the payload; None: all there are

    def payload_of(self, record: Mapping[str, Any], where: str) -> Payload | None:
        """The payload of a record: the object under `payload`, and what else there is as fields beside it.

        Raises InputError for what is no object, and for a field that the object has already.
        """
        held = record.get(self.payload)
        if held is not None and not isinstance(held, dict):
            raise InputError(f"{where}: {self.payload!r} must be an object, not {type(held).__name__}")
        apart = (self.id, self.vector, self.payload)
        names = [name for name in record if name not in apart] if self.fields is None else self.fields
        if not names:
            return held
        payload = dict(held or {})
        for name in names:
            if name in payload:
                raise InputError(f"{where}: {name!r} stands inside {self.payload!r} and beside it")
            if name in record:
                payload[name] = record[name]
        return payload


def dim_of(batch: Batch) -> int:
    """Dimensions of the vectors; 0 where they have names."""
    return int(batch.vectors.shape[1]) if isinstance(batch.vectors, np.ndarray) else 0


class Reader(Protocol):
    """Reads one file of points, in an order that is always the same."""

    metric: str | None  # that the file names

    def count(self) -> int | None:
        """How many points there are; None where only reading all of them would tell."""

    def batches(self, size: int, skip: int) -> Iterator[Batch]:
        """The points, `size` at a time, without the first `skip`. Raises InputError for what is none."""


@dataclass(frozen=True)
class Kinds:
    """What occurs among points that are to be written."""

    points: int = 0
    dim: int = 0  # 0 where vectors have names
    integers: bool = False  # some ids are
    texts: bool = False
    longest: int = 0  # characters of a text
    payloads: bool = False  # some points have one

    def joined(self, batch: Batch) -> "Kinds":
        """With what occurs in a batch more."""
        texts = [id_ for id_ in batch.ids if isinstance(id_, str)]
        return Kinds(
            self.points + len(batch),
            dim_of(batch),
            self.integers or len(texts) < len(batch),
            self.texts or bool(texts),
            max(self.longest, *map(len, texts)) if texts else self.longest,
            self.payloads or any(payload is not None for payload in batch.payloads),
        )


class Points(Protocol):
    """Points that are to be written, which can be gone through more than once."""

    metric: Metric

    @property
    def kinds(self) -> Kinds:
        """What occurs among them."""

    def batches(self) -> Iterator[Batch]:
        """All of them, in the order of their ids; vectors are float32."""


def check_counts(batch: int, limit: int | None) -> None:
    """How many points at once, and how many at most. Raises InputError."""
    if batch < 1 or (limit is not None and limit < 1):
        raise InputError(f"batch and limit must be at least 1, not {batch} and {limit}")

"""A .npz of arrays `vectors` (n, dim), `ids` (n,) and `payloads`: the bytes of a JSON array of objects and nulls.

Ids are unsigned integers or text; where a collection has both kinds, text stands in `id_texts` (n,), and `ids` has a 0
there. `ids` and `payloads` may be missing: ids count from 0 then. No array is ever held whole: a .npz is a zip file,
and its members are read as streams. `pqdb serve` takes the same form as a body.
"""

import codecs
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from pqdb.errors import InputError
from pqdb.hits import Payload
from pqdb.moving.batch import Batch, Columns, Points
from pqdb.moving.texts import ids_joined, ids_parted

PIECE = 1 << 20  # characters of JSON read at a time
LONGEST_ELEMENT = 64 << 20  # characters of a payload
PAYLOADS = "payloads"
_BLANK = re.compile(r"[ \t\r\n]*")


class ArraysReader:
    """The arrays of a .npz, row by row."""

    metric: str | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as stack:
            self._names = self._opened(stack).namelist()
            vectors = self._array(stack, "vectors")
            if vectors is None:
                there = ", ".join(name.removesuffix(".npy") for name in self._names) or "nothing"
                raise InputError(f"{path.name} has no array 'vectors'; it has {there}")
            if len(vectors.shape) != 2 or vectors.dtype.kind not in "fiu":
                raise InputError(
                    f"{path.name}: 'vectors' has shape {vectors.shape} and type {vectors.dtype}; expected one vector "
                    "of numbers a row, (n, dim)"
                )
            for name in ("ids", "id_texts"):
                other = self._array(stack, name)
                if other is not None and other.shape != vectors.shape[:1]:
                    raise InputError(f"{path.name}: {vectors.shape[0]:,} vectors, but {name!r} has shape {other.shape}")
            self._n = vectors.shape[0]

    def count(self) -> int:
        """Rows of `vectors`."""
        return self._n

    def batches(self, size: int, skip: int) -> Iterator[Batch]:
        """As Reader."""
        with ExitStack() as stack:
            vectors, ids, texts = (self._array(stack, name) for name in ("vectors", "ids", "id_texts"))
            payloads = self._payloads(stack)
            assert vectors is not None
            for array in (vectors, ids, texts):
                if array is not None:
                    array.skip(skip)
            if payloads is not None:
                next(islice(payloads, skip, skip), None)
            for start in range(skip, self._n, size):
                n = min(size, self._n - start)
                names = None if ids is None else ids.read(n)
                yield Batch(
                    ids_joined(names, None if texts is None else texts.read(n), start, n),
                    vectors.read(n),
                    [None] * n if payloads is None else self._taken(payloads, n, start),
                )

    def _opened(self, stack: ExitStack) -> zipfile.ZipFile:
        try:
            return stack.enter_context(zipfile.ZipFile(self._path))
        except zipfile.BadZipFile as error:
            raise InputError(f"{self._path.name} is not a .npz file, or was cut off: {error}") from None

    def _array(self, stack: ExitStack, name: str) -> "Stream | None":
        if f"{name}.npy" not in self._names:
            return None
        file = stack.enter_context(self._opened(stack).open(f"{name}.npy"))
        return Stream(file, f"{self._path.name}: {name!r}")

    def _payloads(self, stack: ExitStack) -> Iterator[Payload | None] | None:
        array = self._array(stack, PAYLOADS)
        if array is None:
            return None
        if array.dtype != np.uint8 or len(array.shape) != 1:
            raise InputError(
                f"{self._path.name}: 'payloads' must be the bytes of a JSON array, uint8, not {array.dtype} of shape "
                f"{array.shape}"
            )
        return _elements(array, self._path.name)

    def _taken(self, payloads: Iterator[Payload | None], n: int, start: int) -> list[Payload | None]:
        taken = list(islice(payloads, n))
        if len(taken) < n:
            raise InputError(f"{self._path.name}: {self._n:,} vectors, but {start + len(taken):,} payloads")
        return taken


class Stream:
    """An array of a zip file, read from its beginning to its end."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where = file, where
        try:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            self.shape, fortran, self.dtype = read(file)
        except (ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{where} is not an array of numbers or text: {error}") from None
        if self.dtype.hasobject or (fortran and len(self.shape) > 1):
            raise InputError(f"{where} is an array of {self.dtype} that cannot be read row by row")
        self._row = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))

    def skip(self, rows: int) -> None:
        """Go past some rows."""
        self._file.seek(rows * self._row, io.SEEK_CUR)  # in a zip file this reads, a little at a time

    def read(self, rows: int) -> np.ndarray:
        """The next rows. Raises InputError where the file ends before."""
        try:
            data = self._file.read(rows * self._row)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(f"{self._where} is damaged: {error}") from None
        if len(data) < rows * self._row:
            raise InputError(f"{self._where} ends before its {self.shape[0]:,} rows do")
        return np.frombuffer(data, self.dtype).reshape(rows, *self.shape[1:])

    def pieces(self) -> Iterator[bytes]:
        """All of a one-dimensional array's bytes, some at a time."""
        for start in range(0, self.shape[0], PIECE):
            yield self.read(min(PIECE, self.shape[0] - start)).tobytes()


def _elements(array: Stream, name: str) -> Iterator[Payload | None]:
    """The elements of a JSON array of objects and nulls, each as soon as it is whole."""
    pieces = codecs.iterdecode(array.pieces(), "utf-8")
    decode = json.JSONDecoder().raw_decode
    text, at, count, mark = "", 0, 0, "["  # mark: what must stand before the next element; none once it was seen
    while True:
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        if at < len(text) and text[at] == "]" and mark != "[" and not (mark == "" and count):
            return
        if at < len(text) and mark:
            if text[at] != mark:
                raise InputError(f"{name}: 'payloads' is no JSON array: no {mark!r} before element {count:,}")
            at, mark = at + 1, ""
            continue
        try:
            value, at = decode(text, at)
        except ValueError:  # it is not whole yet
            text, at = text[at:] + _more(pieces, name, count, len(text) - at), 0
            continue
        if value is not None and not isinstance(value, dict):
            raise InputError(f"{name}: element {count:,} of 'payloads' is neither an object nor null")
        yield value
        count, mark = count + 1, ","


def _more(pieces: Iterator[str], name: str, count: int, held: int) -> str:
    """The next piece of text. Raises InputError where there is none, or where one element would fill the memory."""
    try:
        piece = next(pieces, "")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: 'payloads' is not UTF-8: {error}") from None
    if not piece or held > LONGEST_ELEMENT:
        raise InputError(f"{name}: 'payloads' is no JSON array: what follows {count:,} elements is not JSON, or no end")
    return piece


def write(path: Path, points: Points, _columns: Columns) -> None:
    """The arrays, one after the other."""
    kinds = points.kinds
    with zipfile.ZipFile(path, "w", allowZip64=True) as file:
        vectors = (np.ascontiguousarray(batch.vectors, "<f4") for batch in points.batches())
        _write_array(file, "vectors", np.dtype("<f4"), (kinds.points, kinds.dim), vectors)
        if kinds.integers or not kinds.texts:
            numbers = (ids_parted(batch.ids)[0] for batch in points.batches())
            _write_array(file, "ids", np.dtype("<u8"), (kinds.points,), numbers)
        if kinds.texts:
            kind = np.dtype(f"<U{kinds.longest}")
            texts = (_padded(ids_parted(batch.ids)[1], kind) for batch in points.batches())
            _write_array(file, "id_texts" if kinds.integers else "ids", kind, (kinds.points,), texts)
        if kinds.payloads:
            size = sum(len(piece) for piece in _array_of(points))
            pieces = (np.frombuffer(piece, np.uint8) for piece in _array_of(points))
            _write_array(file, PAYLOADS, np.dtype(np.uint8), (size,), pieces)


def _write_array(
    file: zipfile.ZipFile, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], parts: Iterable[np.ndarray]
) -> None:
    with file.open(f"{name}.npy", "w", force_zip64=True) as member:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        for part in parts:
            member.write(part.tobytes())


def _padded(texts: list[str], kind: np.dtype[Any]) -> np.ndarray:
    """Text as numpy keeps it. Raises InputError for what would lose its end there."""
    for text in texts:
        if text.endswith("\0"):
            raise InputError(f"the id {text!r} ends with a zero character, which an array of text does not keep")
    return np.array(texts, kind)


def _array_of(points: Points) -> Iterator[bytes]:
    """The payloads as pieces of one JSON array."""
    mark = b"["
    for batch in points.batches():
        for payload in batch.payloads:
            yield mark + json.dumps(payload, ensure_ascii=False).encode()
            mark = b",\n"
    yield b"]"

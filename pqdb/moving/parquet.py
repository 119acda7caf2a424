"""Parquet: a column of ids, one of vectors, one of payloads as JSON; other columns are fields of the payload.

Vectors may be lists or fixed-size lists of float32, float64, float16 or integers. A row group is never held whole: its
pages are read and decoded a batch at a time.
"""

import datetime as dt
import decimal
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.errors import InputError
from pqdb.hits import Payload
from pqdb.metric import METRICS
from pqdb.moving.batch import Batch, Columns, Points
from pqdb.moving.extras import needed

READ_AHEAD = 1 << 20  # bytes of a column's pages
METRIC = b"pqdb_metric"  # what an export notes beside the columns
ID_TEXTS = "id_text"  # the column of text ids where there are integers too


class ParquetReader:
    """The rows of a Parquet file."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._path, self._columns = path, columns
        self._arrow, self._parquet = needed("pyarrow"), needed("pyarrow.parquet")
        with self._opened() as file:
            schema = file.schema_arrow
            self._n = int(file.metadata.num_rows)
            self._groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        for name in (columns.vector, columns.id, *(columns.fields or ())):
            if name is not None and name not in schema.names:
                raise InputError(f"{path.name} has no column {name!r}; it has {', '.join(schema.names) or 'none'}")
        metric = (schema.metadata or {}).get(METRIC, b"").decode(errors="replace")
        self.metric = metric if metric in METRICS else None
        self._others = self._payload_columns(schema.names)
        self._id_texts = ID_TEXTS if columns.id is not None and ID_TEXTS in schema.names else None
        self._check_vectors(schema.field(columns.vector).type)

    def count(self) -> int:
        """Rows."""
        return self._n

    def batches(self, size: int, skip: int) -> Iterator[Batch]:
        """As Reader."""
        groups, passed = self._from(skip)
        wanted = [self._columns.vector, *(name for name in (self._columns.id, self._id_texts) if name), *self._others]
        start = skip
        with self._opened() as file:
            try:
                for part in file.iter_batches(size, row_groups=groups, columns=wanted, use_threads=False):
                    rest = part.slice(min(passed, len(part)))
                    passed -= len(part) - len(rest)
                    if len(rest):
                        yield self._batch(rest, start)
                        start += len(rest)
            except (self._arrow.ArrowException, OSError) as error:
                raise InputError(f"{self._path.name} is damaged behind point {start:,}: {error}") from None

    def _opened(self) -> Any:
        try:
            return self._parquet.ParquetFile(self._path, buffer_size=READ_AHEAD, pre_buffer=False)
        except (self._arrow.ArrowException, OSError) as error:
            raise InputError(f"{self._path.name} is not a Parquet file, or was cut off: {error}") from None

    def _payload_columns(self, names: list[str]) -> list[str]:
        columns = self._columns
        known = (columns.id, columns.vector, columns.payload, *(() if columns.id is None else (ID_TEXTS,)))
        fields = [name for name in names if name not in known] if columns.fields is None else list(columns.fields)
        return ([columns.payload] if columns.payload in names else []) + fields

    def _check_vectors(self, kind: Any) -> None:
        types = self._arrow.types
        lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if not lists or not (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)):
            raise InputError(
                f"{self._path.name}: the column {self._columns.vector!r} holds {kind}; expected lists of numbers"
            )

    def _from(self, skip: int) -> tuple[list[int], int]:
        """The row groups that hold what comes after `skip` rows, and how many rows of the first to pass over."""
        for first, rows in enumerate(self._groups):
            if skip < rows:
                return list(range(first, len(self._groups))), skip
            skip -= rows
        return [], 0

    def _batch(self, part: Any, start: int) -> Batch:
        columns, n = self._columns, len(part)
        vectors = self._vectors(part.column(columns.vector), start)
        return Batch(self._ids(part, start), vectors, self._payloads(part, start) if self._others else [None] * n)

    def _ids(self, part: Any, start: int) -> list[Any]:
        if self._columns.id is None:
            return list(range(start, start + len(part)))
        ids = part.column(self._columns.id).to_pylist()
        if self._id_texts:
            texts = part.column(self._id_texts).to_pylist()
            ids = [id_ if text is None else text for id_, text in zip(ids, texts, strict=True)]
        return [str(id_) if isinstance(id_, uuid.UUID) else id_ for id_ in ids]

    def _vectors(self, column: Any, start: int) -> np.ndarray:
        where = f"{self._path.name}: {self._columns.vector!r}"
        if column.null_count:
            row = column.is_null().index(True).as_py()
            raise InputError(f"{where} is empty at point {start + row:,}")
        values = column.flatten()
        if values.null_count:
            raise InputError(f"{where} holds lists with {values.null_count:,} empty places from point {start:,} on")
        flat: np.ndarray = values.to_numpy(zero_copy_only=False)
        if self._arrow.types.is_fixed_size_list(column.type):
            return flat.reshape(len(column), int(column.type.list_size))
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        odd = np.flatnonzero(lengths != lengths[0])
        if len(odd):
            raise InputError(
                f"{where}: expected {lengths[0]} dimensions at point {start + odd[0]:,}, not {lengths[odd[0]]}"
            )
        return flat.reshape(len(column), int(lengths[0]))

    def _payloads(self, part: Any, start: int) -> list[Payload | None]:
        rows = part.select(self._others).to_pylist()
        found = []
        for number, row in enumerate(rows, start):
            where = f"{self._path.name}, point {number:,}"
            record = {name: plain(value, where) for name, value in row.items()}
            held = record.get(self._columns.payload)
            if isinstance(held, str):
                try:
                    record[self._columns.payload] = json.loads(held)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{where}: {self._columns.payload!r} is not JSON: {error}") from None
            found.append(self._columns.payload_of(record, where))
        return found


def plain(value: Any, where: str) -> Any:
    """A value as JSON has it: points in time as ISO 8601, decimals as numbers. Raises InputError for bytes."""
    if isinstance(value, dict):
        return {str(key): plain(each, where) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each, where) for each in value]
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(f"{where}: a payload cannot hold {type(value).__name__}")


def write(path: Path, points: Points, columns: Columns) -> None:
    """Ids as uint64 or text (where there are both, in two columns), vectors as fixed-size lists, payloads as JSON."""
    arrow, parquet, kinds = needed("pyarrow"), needed("pyarrow.parquet"), points.kinds
    id_column = columns.id or "id"
    numbers, texts = kinds.integers or not kinds.texts, kinds.texts
    fields = [(id_column, arrow.uint64() if numbers else arrow.string())]
    if numbers and texts:
        fields.append((ID_TEXTS, arrow.string()))
    fields.append((columns.vector, arrow.list_(arrow.float32(), kinds.dim)))
    if kinds.payloads:
        fields.append((columns.payload, arrow.string()))
    schema = arrow.schema(fields, metadata={METRIC: points.metric})
    # Floats of embeddings hardly repeat: dictionaries and statistics of them cost time and bytes and help nobody.
    plain_columns = [name for name, _ in fields if name != columns.vector]
    with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=plain_columns) as file:
        for batch in points.batches():
            vectors = arrow.FixedSizeListArray.from_arrays(
                arrow.array(batch.vectors.ravel(), arrow.float32()), type=schema.field(columns.vector).type
            )
            held = {columns.vector: vectors}
            if numbers:
                held[id_column] = arrow.array([i if isinstance(i, int) else None for i in batch.ids], arrow.uint64())
            if texts:
                name = ID_TEXTS if numbers else id_column
                held[name] = arrow.array([i if isinstance(i, str) else None for i in batch.ids], arrow.string())
            if kinds.payloads:
                raw = [None if each is None else json.dumps(each, ensure_ascii=False) for each in batch.payloads]
                held[columns.payload] = arrow.array(raw, arrow.string())
            file.write_batch(arrow.RecordBatch.from_arrays([held[name] for name, _ in fields], schema=schema))

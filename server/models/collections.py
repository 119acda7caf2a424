"""Collections: made, changed, told of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from .envelopes import ErrorText
from .words import Strict


class CollectionName(BaseModel):
    """One of the collections."""

    name: str


class CollectionList(BaseModel):
    """All collections."""

    collections: list[CollectionName]


class Existence(BaseModel):
    """Whether a collection is there."""

    exists: bool


class VectorParams(Strict):
    """One vector of a collection's points. HNSW's knobs are kept and given back, nothing more."""

    size: int = Field(ge=1, le=65536)
    distance: Literal["Cosine", "Dot", "Euclid", "Manhattan"]
    datatype: Literal["float32"] | None = None
    on_disk: bool | None = None
    memory: Literal["cold", "cached", "pinned"] | None = None
    hnsw_config: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = None


class SparseIndexParams(Strict):
    """Knobs of a sparse vector's index: kept and given back, nothing more."""

    full_scan_threshold: Annotated[int, Field(ge=0)] | None = None
    on_disk: bool | None = None
    memory: Literal["cold", "cached", "pinned"] | None = None
    datatype: Literal["float32"] | None = None


class SparseVectorParams(Strict):
    """One sparse vector of a collection's points, compared by inner product."""

    index: SparseIndexParams | None = None
    modifier: Literal["none", "idf"] | None = Field(
        None, description="idf: what few points have counts more, by the frequencies at the time of the query."
    )


class CreateCollection(Strict):
    """A new collection."""

    vectors: VectorParams | Annotated[dict[str, VectorParams], Field(max_length=64)] | None = Field(
        None, description="May be left out where there are sparse vectors."
    )
    sparse_vectors: Annotated[dict[str, SparseVectorParams], Field(max_length=64)] | None = None
    quantization_config: dict[str, Any] | None = Field(
        None, description='For example {"product": {"compression": "x16"}}; none: what serves the dimension best.'
    )
    hnsw_config: dict[str, Any] | None = None
    optimizers_config: dict[str, Any] | None = None
    wal_config: dict[str, Any] | None = None
    on_disk_payload: bool | None = None
    shard_number: Annotated[int, Field(ge=1)] | None = None
    replication_factor: Annotated[int, Field(ge=1)] | None = None
    write_consistency_factor: Annotated[int, Field(ge=1)] | None = None
    metadata: dict[str, Any] | None = Field(None, description='Free; under "pqdb", our own options.')


class VectorParamsDiff(Strict):
    """Knobs of a vector to change."""

    on_disk: bool | None = None
    memory: Literal["cold", "cached", "pinned"] | None = None
    hnsw_config: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = None


class UpdateCollection(Strict):
    """What to change about a collection."""

    vectors: dict[str, VectorParamsDiff] | None = None
    sparse_vectors: dict[str, SparseVectorParams] | None = Field(None, description="Only with the modifier there is.")
    hnsw_config: dict[str, Any] | None = None
    optimizers_config: dict[str, Any] | None = None
    params: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = Field(None, description="Only that of the codes there are.")
    metadata: dict[str, Any] | None = Field(None, description="Merged; null removes a key.")


class CollectionInfo(BaseModel):
    """A collection's configuration and state."""

    status: Literal["green", "yellow"]
    optimizer_status: Literal["ok"] | ErrorText
    segments_count: int
    points_count: int
    indexed_vectors_count: int
    config: dict[str, Any]
    payload_schema: dict[str, Any]

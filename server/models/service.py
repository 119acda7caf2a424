"""The service itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from .words import Strict


class VersionInfo(BaseModel):
    """Who answers."""

    title: str
    version: str = Field(description="The Qdrant version whose interface is spoken.")
    pqdb_version: str


class Capabilities(BaseModel):
    """What the service offers."""

    pqdb_version: str
    compat_version: str
    operations: list[str]
    refused_operations: list[str]
    query_kinds: list[str]
    distances: list[str]
    quantizations: list[str]
    sparse_modifiers: list[str]
    embedder: dict[str, int] | None
    limits: dict[str, int]


class ClusterStatus(BaseModel):
    """There is no cluster."""

    status: Literal["disabled"]


class CollectionCluster(BaseModel):
    """The one shard of a collection."""

    peer_id: int
    shard_count: int
    local_shards: list[dict[str, Any]]
    remote_shards: list[dict[str, Any]]
    shard_transfers: list[dict[str, Any]]


class Text(Strict):
    """A text to embed."""

    text: str


class Embedded(BaseModel):
    """A text's vector."""

    vector: list[float]

"""The shapes of bodies and results, for the OpenAPI page.

Requests are not read through these: a vector of 1,536 numbers must not become 1,536 checked objects. Each
body has its own parser, and tests hold the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

Id = Annotated[int, Field(ge=0, lt=2**64)] | UUID
Numbers = Annotated[list[float], Field(min_length=1)]
Payload = dict[str, Any]
Limit = Annotated[int, Field(ge=1)]
Offset = Annotated[int, Field(ge=0)]
VectorSelector = bool | list[str]


IndexKind = Literal["keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid"]


class Strict(BaseModel):
    """A body; keys that are not listed are refused."""

    model_config = ConfigDict(extra="forbid")


class SparseVector(Strict):
    """Numbers at some dimensions, in any order; at all others there is 0."""

    indices: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(description="None twice.")
    values: list[float] = Field(description="As many as there are indices.")


Vector = Numbers | dict[Literal[""], Numbers] | SparseVector
Vectors = (
    Numbers
    | Annotated[dict[str, Numbers | SparseVector], Field(description="By their names; {} is a point without any.")]
)


class Success(BaseModel, Generic[T]):
    """The envelope of a result."""

    result: T
    status: Literal["ok"]
    time: float = Field(description="Seconds spent on it.")


class Accepted(BaseModel):
    """The envelope of what has begun."""

    status: Literal["accepted"]
    time: float


class ErrorText(BaseModel):
    """What went wrong, as a sentence."""

    error: str


class Failure(BaseModel):
    """The envelope of an error."""

    status: ErrorText
    time: float


class VersionInfo(BaseModel):
    """Who answers."""

    title: str
    version: str = Field(description="The Qdrant version whose interface is spoken.")
    pqdb_version: str


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


class CreateAlias(Strict):
    """Let an alias stand for a collection, whatever it stood for."""

    collection_name: str
    alias_name: str


class DeleteAlias(Strict):
    """Forget an alias."""

    alias_name: str


class RenameAlias(Strict):
    """Give an alias another name."""

    old_alias_name: str
    new_alias_name: str


class AliasAction(Strict):
    """One of the three."""

    create_alias: CreateAlias | None = None
    delete_alias: DeleteAlias | None = None
    rename_alias: RenameAlias | None = None


class ChangeAliases(Strict):
    """Actions, done in their order in one commit."""

    actions: list[AliasAction]


class AliasDescription(BaseModel):
    """An alias and what it stands for."""

    alias_name: str
    collection_name: str


class AliasList(BaseModel):
    """Aliases."""

    aliases: list[AliasDescription]


class CollectionInfo(BaseModel):
    """A collection's configuration and state."""

    status: Literal["green", "yellow"]
    optimizer_status: Literal["ok"] | ErrorText
    segments_count: int
    points_count: int
    indexed_vectors_count: int
    config: dict[str, Any]
    payload_schema: dict[str, Any]


class Point(Strict):
    """A point to write."""

    id: Id
    vector: Vectors
    payload: Payload | None = None


class Columns(Strict):
    """Points to write, column by column."""

    ids: list[Id]
    vectors: list[Numbers] | dict[str, list[Numbers | SparseVector]]
    payloads: list[Payload | None] | None = None


Filter = Annotated[dict[Literal["must", "should", "must_not", "min_should"], Any], Field(description="See the docs.")]


class UpsertPoints(Strict):
    """Points to write: one of the two forms. Those that are there are replaced only if they pass `update_filter`."""

    points: list[Point] | None = None
    batch: Columns | None = None
    update_filter: Filter | None = None
    update_mode: Literal["upsert", "insert_only", "update_only"] | None = None


class DeletePoints(Strict):
    """Points named by ids or by a filter, by one of the two."""

    points: list[Id] | None = None
    filter: Filter | None = None


class SetPayload(DeletePoints):
    """A payload for points."""

    payload: Payload
    key: str | None = Field(None, description="Where in the payloads; at their top without it.")


class DeletePayload(DeletePoints):
    """Keys to take out of payloads."""

    keys: list[str]


class PointVector(Strict):
    """A point's other vectors; those that are not named stay."""

    id: Id
    vector: Vectors


class UpdateVectors(Strict):
    """Vectors to put in the place of others, of points that pass `update_filter`."""

    points: list[PointVector]
    update_filter: Filter | None = None


class DeleteVectors(DeletePoints):
    """Points, and the names of the vectors to take from them."""

    vector: list[str]


class UpdateOperation(Strict):
    """One change of points."""

    upsert: UpsertPoints | None = None
    delete: DeletePoints | None = None
    set_payload: SetPayload | None = None
    overwrite_payload: SetPayload | None = None
    delete_payload: DeletePayload | None = None
    clear_payload: DeletePoints | None = None
    update_vectors: UpdateVectors | None = None
    delete_vectors: DeleteVectors | None = None


class UpdateBatch(Strict):
    """Changes, done in their order."""

    operations: list[UpdateOperation]


class UpdateResult(BaseModel):
    """A write's acknowledgement."""

    operation_id: int | None
    status: Literal["completed", "acknowledged", "wait_timeout"]


class PayloadInclude(Strict):
    """Paths of the payload to keep."""

    include: list[str]


class PayloadExclude(Strict):
    """Paths of the payload to leave out."""

    exclude: list[str]


PayloadSelector = bool | list[str] | PayloadInclude | PayloadExclude


class RetrievePoints(Strict):
    """Points to give back by id."""

    ids: list[Id]
    with_payload: PayloadSelector | None = True
    with_vector: VectorSelector | None = False


class OrderBy(Strict):
    """The order of a payload key, which needs an index."""

    key: str
    direction: Literal["asc", "desc"] | None = "asc"
    start_from: float | int | str | None = None


class ScrollPoints(Strict):
    """A page of points, all or those that pass a filter."""

    limit: Limit | None = 10
    offset: Id | None = None
    filter: Filter | None = None
    order_by: str | OrderBy | None = None
    with_payload: PayloadSelector | None = True
    with_vector: VectorSelector | None = False


class CountPoints(Strict):
    """A count; always exact."""

    exact: bool | None = True
    filter: Filter | None = None


class Record(BaseModel):
    """A stored point."""

    id: Id
    payload: Payload | None = None
    vector: list[float] | dict[str, list[float] | SparseVector] | None = None
    order_value: float | int | str | None = None


class ScrollResult(BaseModel):
    """A page, and where the next one begins."""

    points: list[Record]
    next_page_offset: Id | None


class CountResult(BaseModel):
    """A count."""

    count: int


class CodesParams(Strict):
    """What to do about the codes."""

    ignore: bool | None = Field(None, description="Compare source vectors only, like `exact`.")
    rescore: bool | None = Field(None, description="Scores are exact either way.")
    oversampling: Annotated[float, Field(ge=1)] | None = None


class SearchParams(Strict):
    """How hard to search."""

    exact: bool | None = None
    hnsw_ef: Annotated[int, Field(ge=0)] | None = Field(None, description="128 asks for a recall of 0.97.")
    quantization: CodesParams | None = None
    indexed_only: bool | None = None
    idf: Literal["global"] | None = Field(None, description="Frequencies are those among all points.")


class MmrParams(Strict):
    """Maximal marginal relevance."""

    diversity: Annotated[float, Field(ge=0, le=1)] | None = Field(0.5, description="0: only near, 1: only unlike.")
    candidates_limit: Annotated[int, Field(ge=0, le=10_000)] | None = None


class Nearest(Strict):
    """The points nearest to a vector or to another point."""

    nearest: Vector | Id
    mmr: MmrParams | None = None


class Examples(Strict):
    """Points or vectors to be near to, and to be far from."""

    positive: Annotated[list[Vector | Id], Field(min_length=1)]
    negative: list[Vector | Id] | None = None
    strategy: Literal["average_vector", "best_score"] | None = None


class Recommended(Strict):
    """Points like some and unlike others."""

    recommend: Examples


class Fused(Strict):
    """The results of the prefetches made one."""

    fusion: Literal["rrf", "dbsf"]


class RrfParams(Strict):
    """Reciprocal rank fusion."""

    k: Annotated[int, Field(ge=1)] | None = 2
    weights: list[float] | None = None


class FusedByRank(Strict):
    """The results of the prefetches made one, with weights."""

    rrf: RrfParams


class Ordered(Strict):
    """Points in the order of a payload key."""

    order_by: str | OrderBy


class Sampled(Strict):
    """Points drawn at random."""

    sample: Literal["random"]


AnyQuery = Nearest | Recommended | Fused | FusedByRank | Ordered | Sampled | Vector | Id


class Prefetch(Strict):
    """A query whose results another one ranks."""

    prefetch: list[Prefetch] | Prefetch | None = None
    query: AnyQuery | None = None
    using: str | None = Field(None, description="The name of the vector; the one without a name if nothing is said.")
    filter: Filter | None = None
    params: SearchParams | None = None
    score_threshold: float | None = None
    limit: Limit | None = 10


class QueryPoints(Strict):
    """One query; without `query`, points by id."""

    prefetch: list[Prefetch] | Prefetch | None = None
    query: AnyQuery | None = None
    filter: Filter | None = None
    using: str | None = Field(None, description="The name of the vector; the one without a name if nothing is said.")
    limit: Limit | None = 10
    offset: Offset | None = 0
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: PayloadSelector | None = False
    with_vector: VectorSelector | None = False


class QueryBatch(Strict):
    """Several queries."""

    searches: list[QueryPoints]


class ScoredPoint(Record):
    """A point found."""

    version: int
    score: float


class QueryResult(BaseModel):
    """The points found, nearest first."""

    points: list[ScoredPoint]


class NamedVector(Strict):
    """A vector with its name."""

    name: str
    vector: Numbers | SparseVector


class SearchPoints(Strict):
    """One search in the older form."""

    vector: Vector | NamedVector
    limit: Limit
    offset: Offset | None = 0
    filter: Filter | None = None
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: PayloadSelector | None = False
    with_vector: VectorSelector | None = False


class SearchBatch(Strict):
    """Several searches."""

    searches: list[SearchPoints]


class SearchGroups(SearchPoints):
    """A search in the older form, whose hits are put in groups."""

    group_by: str
    group_size: Annotated[int, Field(ge=1, le=1_000)] | None = 3


class RecommendPoints(Examples):
    """A recommendation in the older form."""

    limit: Limit
    offset: Offset | None = 0
    using: str | None = None
    filter: Filter | None = None
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: PayloadSelector | None = False
    with_vector: VectorSelector | None = False


class RecommendBatch(Strict):
    """Several recommendations."""

    searches: list[RecommendPoints]


class RecommendGroups(RecommendPoints):
    """A recommendation in the older form, whose hits are put in groups."""

    group_by: str
    group_size: Annotated[int, Field(ge=1, le=1_000)] | None = 3


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


class JobStarted(BaseModel):
    """A job has begun."""

    job: str = Field(description="Its id, for GET /pqdb/v1/jobs/{job_id}.")


class NewBackup(Strict):
    """A backup to be made."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")


class Backups(BaseModel):
    """The backups there are."""

    backups: list[str]


SnapshotPriority = Literal["no_sync", "snapshot", "replica"]


class Snapshot(BaseModel):
    """A snapshot of a collection."""

    name: str
    creation_time: str = Field(description="In UTC.")
    size: int = Field(description="Bytes.")
    checksum: str | None = Field(description="Its SHA256.")


class RecoverSnapshot(Strict):
    """Where a snapshot is: `file://` and a path in this service's folder, or the name of one of this collection."""

    location: str
    priority: SnapshotPriority | None = None
    checksum: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$")


class JobInfo(BaseModel):
    """How far a job has come."""

    id: str
    kind: str
    collection: str = Field(description="Empty for the whole database.")
    status: Literal["running", "done", "failed"]
    started: float = Field(description="Seconds since 1970.")
    finished: float | None
    stage: str | None
    share: float | None = Field(description="How much of the stage is done, 0 to 1.")
    result: Any
    error: str | None


class Stats(BaseModel):
    """A collection in numbers."""

    model_config = ConfigDict(extra="allow")

    name: str
    points: int
    indexed: int
    fresh: int
    generation: int
    bytes: dict[str, int]
    upkeep: dict[str, Any]
    measured_recall: dict[str, Any] | None


class MeasureRecall(Strict):
    """What to measure recall on: queries, or a sample of the stored points."""

    k: Annotated[int, Field(ge=1, le=10_000)] | None = 10
    queries: Annotated[list[Numbers], Field(min_length=1)] | Literal["logged"] | None = Field(
        None, description='Vectors, or "logged": what was asked lately; a sample of the points if nothing is said.'
    )
    sample: Annotated[int, Field(ge=1)] | None = 200
    recall: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, description="The recall to ask for.")
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = 0
    using: str | None = Field(None, description="The name of the vector, where vectors have names.")


class Lost(BaseModel):
    """Shares of the true neighbours that were not found, by what lost them."""

    partition: float = Field(description="Their list was not probed.")
    codes: float = Field(description="The scan of their list passed them over.")
    rerank: float = Field(description="Others were put before them.")


class RecallMeasured(BaseModel):
    """Recall, its 95 % interval, and what lost the rest."""

    recall: float
    low: float
    high: float
    k: int
    queries: int
    population: str
    lost: Lost


class Tune(MeasureRecall):
    """A recall to be reached."""

    target: Annotated[float, Field(gt=0, lt=1)]


class Tried(BaseModel):
    """A recall asked for, and what was measured."""

    recall: float
    hnsw_ef: int
    measured: RecallMeasured


class Tuned(Tried):
    """The least recall to ask for that reaches the target, or the most there is."""

    target: float
    reached: bool
    tried: list[Tried]


class Explained(BaseModel):
    """What a search did."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["exact", "codes"]
    lists: int
    n_lists: int
    groups: int
    codes: int
    candidates: int
    reranked: int
    fresh: int
    recall: float | None
    expected: float | None
    microseconds: dict[str, float]
    hits: list[dict[str, Any]]


class BinaryResult(BaseModel):
    """Ids and scores, a list a query."""

    ids: list[list[Id]]
    scores: list[list[float]]


class Imported(BaseModel):
    """How many points were written."""

    points: int


class MapPoint(BaseModel):
    """A point's place on the plane."""

    id: Id
    x: Annotated[float, Field(ge=0, le=1)]
    y: Annotated[float, Field(ge=0, le=1)]
    list: int = Field(description="Its list; −1 before there are lists.")


class PointMap(BaseModel):
    """Points on a plane."""

    points: list[MapPoint]


class Text(Strict):
    """A text to embed."""

    text: str


class Embedded(BaseModel):
    """A text's vector."""

    vector: list[float]


class IndexParams(BaseModel):
    """A kind of index with Qdrant's knobs, which are kept and given back."""

    model_config = ConfigDict(extra="allow")

    type: IndexKind


class CreateIndex(Strict):
    """A key to index, and the kind of its values."""

    field_name: str
    field_schema: IndexKind | IndexParams


class FacetQuery(Strict):
    """A key whose values are counted; it needs an index of kind keyword, integer, uuid or bool."""

    key: str
    filter: Filter | None = None
    limit: Limit | None = 10
    exact: bool | None = False


class FacetHit(BaseModel):
    """A value, and how many points have it."""

    value: str | int | bool
    count: int


class FacetResult(BaseModel):
    """Values, the most frequent first."""

    hits: list[FacetHit]


class QueryGroups(Strict):
    """A query whose hits are put in groups."""

    group_by: str = Field(description="A payload key; its strings and integers are the groups.")
    group_size: Annotated[int, Field(ge=1, le=1_000)] | None = 3
    limit: Annotated[int, Field(ge=1, le=1_000)] | None = Field(10, description="How many groups.")
    prefetch: list[Prefetch] | Prefetch | None = None
    query: AnyQuery | None = None
    using: str | None = Field(None, description="The name of the vector; the one without a name if nothing is said.")
    filter: Filter | None = None
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: PayloadSelector | None = False
    with_vector: VectorSelector | None = False


class Group(BaseModel):
    """A value of the key, and its best points."""

    id: str | int
    hits: list[ScoredPoint]


class GroupsResult(BaseModel):
    """The groups, by their best point."""

    groups: list[Group]


class RolledBack(BaseModel):
    """The generation that is searched now."""

    generation: int


class Replace(UpsertPoints):
    """Points that go, and points that come."""

    filter: Filter
    if_version: Annotated[int, Field(ge=0, lt=2**64)] | None = Field(
        None, description="The newest version among those that go, 0 if there are none; else 409."
    )

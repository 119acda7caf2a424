"""Our own verbs, under a prefix that Qdrant's future paths cannot collide with."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

import pqdb
from pqdb_server import bare
from pqdb_server.answering import answer, find
from pqdb_server.arrays import NPY, NPZ, RAW, read_vectors, write_npz
from pqdb_server.body import parse_body, read_body, read_bytes
from pqdb_server.bulk import BinaryPoints, batch_of_lines, export_lines, line_chunks
from pqdb_server.capabilities import capabilities
from pqdb_server.effort import Effort, parse_recall
from pqdb_server.embedding import embed
from pqdb_server.envelope import now, success
from pqdb_server.errors import Refusal, not_found, not_yet
from pqdb_server.jobs import Job, Work
from pqdb_server.mapping import drawn
from pqdb_server.models.effort import Explained, MeasureRecall, RecallMeasured, Tune, Tuned
from pqdb_server.models.map import PointMap
from pqdb_server.models.query import BinaryResult, QueryPoints
from pqdb_server.models.service import Capabilities, Embedded, Text
from pqdb_server.models.upkeep import JobInfo, JobStarted, RolledBack, Stats
from pqdb_server.models.writing import Imported, Replace, UpdateResult
from pqdb_server.native import Measuring, explained, printed, share_of, tuned
from pqdb_server.openapi import documented
from pqdb_server.parameters import Name
from pqdb_server.points import check_number
from pqdb_server.printing import Printed, update_result
from pqdb_server.queries import Query as Question
from pqdb_server.replacement import Replacement
from pqdb_server.shape import Shape
from pqdb_server.vectors import UNNAMED

from .query import Recall

router = APIRouter(prefix="/pqdb/v1", tags=["pqdb"])

_C = "/collections/{collection_name}"
_BINARY = (RAW, NPY, NPZ)
_LINES = "application/x-ndjson"
FirstId = Annotated[int | None, Query(ge=0, lt=2**64, description="The id of the first vector, without an npz.")]
Sample = Annotated[int, Query(ge=1, le=10_000, description="How many points.")]
K = Annotated[int, Query(ge=1, le=10_000, description="How many points to find for each query.")]
Using = Annotated[str | None, Query(description="The name of the vector, where vectors have names.")]
Accept = Annotated[str, Header(description=f"`{NPZ}`: the answer as arrays `ids` and `scores`.")]


@router.get("/capabilities", **documented(Capabilities))
async def get_capabilities(request: Request) -> Response:
    """What this service offers, for programs."""
    app = request.app
    return await answer(request, lambda _: capabilities(app))


@router.get("/jobs/{job_id}", **documented(JobInfo))
async def get_job(request: Request, job_id: str) -> Response:
    """How far a job has come."""

    def work(_: pqdb.Database) -> Printed:
        job = request.app.state.jobs.get(job_id)
        if job is None:
            raise not_found(f"there is no job {job_id[:64]!r}")
        return asdict(job)

    return await answer(request, work)


@router.get(f"{_C}/stats", **documented(Stats))
async def stats(request: Request, collection_name: Name) -> Response:
    """Counts, bytes by component, upkeep, and the recall measured on real queries."""

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        info = collection.info()
        info.pop("metadata")
        return {**info, "measured_recall": request.app.state.proof.report(collection.name)}

    return await answer(request, work)


@router.get(f"{_C}/map", **documented(PointMap))
async def point_map(request: Request, collection_name: Name, sample: Sample = 500, using: Using = None) -> Response:
    """Points on a plane, by the first two principal components, each with its list."""
    return await answer(request, lambda database: {"points": drawn(find(database, collection_name), sample, using)})


@router.post("/embed", **documented(Embedded, Text))
async def embed_text(request: Request) -> Response:
    """A text's vector by the demo's embedder, where it is installed."""
    body = await read_body(request)

    def work(_: pqdb.Database) -> Printed:
        fields = parse_body(body).only(("text",))
        fields.required("text")
        return {"vector": embed(fields.text("text"))}

    return await answer(request, work)


async def _begin(request: Request, name: str, kind: str, work: Work) -> Response:
    def start(database: pqdb.Database) -> Printed:
        job: Job = request.app.state.jobs.start(kind, find(database, name).name, work)
        return {"job": job.id}

    return await answer(request, start)


@router.post(f"{_C}/train", **documented(JobStarted))
async def train(request: Request, collection_name: Name, using: Using = None) -> Response:
    """Learn a new generation of centroids and codebook, and index all points, as a job."""
    database = request.app.state.database
    return await _begin(
        request,
        collection_name,
        "train",
        lambda progress: find(database, collection_name).train(progress, using=using),
    )


@router.post(f"{_C}/optimize", **documented(JobStarted))
async def optimize(request: Request, collection_name: Name) -> Response:
    """Train what is due and index every fresh point, as a job."""
    database = request.app.state.database
    return await _begin(
        request, collection_name, "optimize", lambda progress: find(database, collection_name).optimize(progress)
    )


@router.post(f"{_C}/compact", **documented(JobStarted))
async def compact(request: Request, collection_name: Name) -> Response:
    """Give back to the disk what deleted and replaced points held, as a job; reads go on meanwhile."""
    database = request.app.state.database
    return await _begin(
        request, collection_name, "compact", lambda progress: find(database, collection_name).compact(progress)
    )


@router.post(f"{_C}/rollback", **documented(RolledBack))
async def rollback(request: Request, collection_name: Name, using: Using = None) -> Response:
    """Go back to the generation that was searched before the last training."""

    def work(database: pqdb.Database) -> Printed:
        return {"generation": find(database, collection_name).rollback(using=using)}

    return await answer(request, work)


@router.post(f"{_C}/replace", **documented(UpdateResult, Replace))
async def replace(request: Request, collection_name: Name) -> Response:
    """Take out all points that pass a filter and write others, in one commit: no reader ever sees half a document."""
    body = await read_body(request)
    most = request.app.state.settings.batch_limit

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        asked = Replacement.parse(parse_body(body), Shape.of(collection), most)
        return update_result(asked.done(database, collection), wait=True)

    return await answer(request, work)


@router.post(f"{_C}/verify", **documented(JobStarted))
async def verify(request: Request, collection_name: Name) -> Response:
    """Read every byte against its checksum, as a job whose result lists the problems."""
    database = request.app.state.database
    return await _begin(
        request, collection_name, "verify", lambda _: {"problems": find(database, collection_name).verify()}
    )


@router.post(f"{_C}/recall", **documented(RecallMeasured, MeasureRecall))
async def recall(request: Request, collection_name: Name) -> Response:
    """Recall@k measured now against the exact answer, with its 95 % interval."""
    body = await read_body(request)
    most = request.app.state.settings.queries_limit

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        measuring = Measuring.parse(parse_body(body), Shape.of(collection), most)
        return printed(measuring.measure(collection, measuring.recall))

    return await answer(request, work)


@router.post(f"{_C}/tune", **documented(Tuned, Tune))
async def tune(request: Request, collection_name: Name) -> Response:
    """The recall to ask for, and the `hnsw_ef` that means the same, so that the measured one reaches a target."""
    body = await read_body(request)
    most = request.app.state.settings.queries_limit

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        fields = parse_body(body)
        fields.required("target")
        measuring = Measuring.parse(fields, Shape.of(collection), most, "target")
        return tuned(collection, measuring, share_of(fields, "target") or 0.0)

    return await answer(request, work)


@router.post(f"{_C}/explain", **documented(Explained, QueryPoints))
async def explain(request: Request, collection_name: Name, x_pqdb_recall: Recall = None) -> Response:
    """Search as `points/query` does, and say what the search did, with the time each stage took."""
    body = await read_body(request)

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        question = Question.parse(parse_body(body), parse_recall(x_pqdb_recall))
        return explained(question.explain(collection))

    return await answer(request, work)


@router.put(f"{_C}/points", **documented(UpdateResult, binary=_BINARY))
async def upsert_binary(request: Request, collection_name: Name, first_id: FirstId = None) -> Response:
    """Write points from a binary body: an npz of `ids`, `vectors` and `payloads`, or vectors alone."""
    kind = _kind(request, _BINARY)
    body = await read_bytes(request)
    settings = request.app.state.settings

    def work(database: pqdb.Database) -> Printed:
        collection = find(database, collection_name)
        most, shape = (settings.batch_limit, settings.body_limit), Shape.of(collection)
        if shape.has_names:
            raise not_yet("points whose vectors have names in a binary body; send JSON")
        points = BinaryPoints.parse(body, kind, shape.dim(UNNAMED), first_id, most)
        return update_result(collection.upsert(points.ids, points.vectors, points.payloads), wait=True)

    return await answer(request, work)


@router.post(f"{_C}/query", **documented(BinaryResult, binary=(RAW, NPY)))
async def query_binary(
    request: Request,
    collection_name: Name,
    k: K = 10,
    using: Using = None,
    x_pqdb_recall: Recall = None,
    accept: Accept = "",
) -> Response:
    """The ids and scores of the points nearest to one vector or several, sent as float32 or npy."""
    kind = _kind(request, (RAW, NPY))
    body = await read_bytes(request)
    most = request.app.state.settings.queries_limit

    def work(database: pqdb.Database) -> object:
        collection = find(database, collection_name)
        effort = Effort.parse(None, parse_recall(x_pqdb_recall))
        queries = read_vectors(body, kind, Shape.of(collection).dim(using or UNNAMED))
        check_number("queries", len(queries), most)
        passing = bare.without(None) if not using and bare.may_be_in(collection) else None
        found = collection.search(queries, k, filter=passing, with_payload=False, using=using, **effort.arguments)
        if accept == NPZ:
            return Response(_packed(found), media_type=NPZ)
        return {"ids": [hits.ids for hits in found], "scores": [hits.scores for hits in found]}

    return await answer(request, work)


@router.post(f"{_C}/import", **documented(Imported, binary=(_LINES,)))
async def import_lines(request: Request, collection_name: Name) -> Response:
    """Write points from lines of JSON, `{"id", "vector", "payload"}` each, a thousand a commit, however many there are.

    When a line is refused the lines before its thousand are kept, and the error says how many that are.
    """
    _kind(request, (_LINES,))
    started, written = now(), 0
    async for lines in line_chunks(request.stream()):
        refused = await answer(request, partial(_write, name=collection_name, lines=lines, written=written))
        if refused.status_code != 200:
            return refused
        written += len(lines)
    return success({"points": written}, started)


def _write(database: pqdb.Database, name: str, lines: list[bytes], written: int) -> None:
    collection = find(database, name)
    try:
        batch = batch_of_lines(lines, written + 1, Shape.of(collection))
    except Refusal as refusal:
        raise Refusal(refusal.status, f"{refusal.text}; {written} points before it were written") from None
    if batch.has_bare:
        bare.prepare(database, collection)
    collection.upsert(batch.ids, batch.vectors, batch.payloads)


@router.get(f"{_C}/export", **documented(None, answers=_LINES))
async def export_points(request: Request, collection_name: Name, with_vector: bool = True) -> Response:
    """All points as lines of JSON that `import` reads again."""

    def work(database: pqdb.Database) -> Response:
        return StreamingResponse(export_lines(find(database, collection_name), with_vector), media_type=_LINES)

    return await answer(request, work)


def _kind(request: Request, known: tuple[str, ...]) -> str:
    """What a body is announced as. Raises Refusal 400 for another type than those known."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in known:
        raise Refusal(400, f"Content type error: expected {' or '.join(known)}, not {kind or 'none'}")
    return kind


def _packed(found: pqdb.BatchHits) -> bytes:
    """Ids and scores as an npz: unsigned integers where all ids are, else text; empty places are 0 or "" and NaN."""
    ids = found.ids
    whole = all(isinstance(id_, int) for hits in found for id_ in hits.ids)
    empty = 0 if whole else ""
    filled = [[empty if id_ is None else id_ if whole else str(id_) for id_ in row] for row in ids]
    return write_npz(ids=np.array(filled, np.uint64 if whole else str), scores=found.scores)

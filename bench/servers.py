"""The servers that are compared: how each is started, and what is sent to it."""

import asyncio
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import orjson
import psutil

import pqdb
from bench.wire import Wire, request

K = 10
BULK = 5_000
READY_SECONDS = 120

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Data:
    """Points, queries, and the true nearest of each query."""

    points: Floats
    queries: Floats
    truth: npt.NDArray[np.int64]  # (q, K)

    @classmethod
    def load(cls, path: Path, n_points: int, n_queries: int) -> "Data":
        """The first of the points and queries of a data set in ann-benchmarks' form, by cosine."""
        with h5py.File(path) as file:
            points = np.asarray(file["train"][:n_points], np.float32)
            queries = np.asarray(file["test"][:n_queries], np.float32)
        units = points / np.linalg.norm(points, axis=1, keepdims=True)
        return cls(points, queries, np.argsort(-(queries @ units.T), axis=1, kind="stable")[:, :K])


class Service:
    """One server under test: how it is started and what is sent to it."""

    name = ""

    def command(self, folder: Path, port: int) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What it is told besides."""
        return {}

    async def create(self, wire: Wire, dim: int) -> None:
        """Make the collection."""
        raise NotImplementedError

    def upsert(self, ids: range, vectors: Floats) -> bytes:
        """A request that writes points."""
        raise NotImplementedError

    def query(self, vector: Floats, effort: Any) -> bytes:
        """A request for the K nearest."""
        raise NotImplementedError

    def efforts(self) -> list[Any]:
        """How hard a search can be asked to try, the least first."""
        raise NotImplementedError

    def found(self, body: bytes) -> list[int]:
        """The ids of an answer."""
        raise NotImplementedError

    async def settled(self, wire: Wire) -> None:
        """Wait until the index is built."""

    async def extras(self, wire: Wire, data: Data, effort: Any, folder: Path) -> dict[str, float]:  # noqa: ARG002
        """What only this service is asked for besides; the last thing asked of it."""
        return {}


class Pqdb(Service):
    """`python -m pqdb_server`."""

    name = "pqdb"

    def command(self, folder: Path, port: int) -> list[str]:  # noqa: ARG002 (both are told by the environment)
        return [sys.executable, "-m", "pqdb_server"]

    def environment(self) -> dict[str, str]:
        return {"PQDB_LOG_LEVEL": "warning"}

    async def create(self, wire: Wire, dim: int) -> None:
        body = {"vectors": {"size": dim, "distance": "Cosine"}}
        await wire.ask(request("PUT", "/collections/bench", body))

    def upsert(self, ids: range, vectors: Floats) -> bytes:
        rows = zip(ids, vectors.tolist(), strict=True)
        points = [{"id": i, "vector": row, "payload": {"page": i}} for i, row in rows]
        return request("PUT", "/collections/bench/points?wait=true", {"points": points})

    def query(self, vector: Floats, effort: Any) -> bytes:
        body = {"query": vector.tolist(), "limit": K, "with_payload": True}
        return request("POST", "/collections/bench/points/query", body, f"x-pqdb-recall: {effort}\r\n".encode())

    def efforts(self) -> list[Any]:
        return [0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999]

    def found(self, body: bytes) -> list[int]:
        return [hit["id"] for hit in orjson.loads(body)["result"]["points"]]

    async def settled(self, wire: Wire) -> None:
        answer = orjson.loads(await wire.ask(request("POST", "/pqdb/v1/collections/bench/optimize", None)))
        for _ in range(3_000):
            job = orjson.loads(await wire.ask(request("GET", f"/pqdb/v1/jobs/{answer['result']['job']}", None)))
            if job["result"]["status"] != "running":
                return
            await asyncio.sleep(0.1)

    async def extras(self, wire: Wire, data: Data, effort: Any, folder: Path) -> dict[str, float]:
        engine = await asyncio.to_thread(_engine_alone, folder, data.queries, float(effort))
        written = await _npy_upserts(wire, data)
        return {"engine's own CPU a query, µs": 1e6 * engine, "npy upserts a second": written}


def _engine_alone(folder: Path, queries: Floats, recall: float) -> float:
    """Seconds of processor time a search takes in this process, on the same files, hits and payloads included."""
    with pqdb.open(folder, read_only=True) as database:
        collection = database["bench"]
        for query in queries:
            list(collection.search(query, K, recall=recall))
        taken = []
        for _ in range(5):
            began = time.thread_time()
            for query in queries:
                list(collection.search(query, K, recall=recall))
            taken.append((time.thread_time() - began) / len(queries))
    return float(np.median(taken))


async def _npy_upserts(wire: Wire, data: Data) -> float:
    """Points written a second into a collection of their own, 5,000 a request, as `.npy` bodies."""
    size = {"size": data.points.shape[1], "distance": "Cosine"}
    await wire.ask(request("PUT", "/collections/bulk", {"vectors": size}))
    requests = []
    for start in range(0, len(data.points), BULK):
        body = io.BytesIO()
        np.save(body, data.points[start : start + BULK])
        head = f"PUT /pqdb/v1/collections/bulk/points?first_id={start} HTTP/1.1\r\nhost: bench\r\n"
        head += f"content-type: application/x-npy\r\ncontent-length: {body.tell()}\r\n\r\n"
        requests.append(head.encode() + body.getvalue())
    began = time.perf_counter()
    for sent in requests:
        await wire.ask(sent)
    return len(data.points) / (time.perf_counter() - began)


class Chroma(Service):
    """`chroma run`, by the routes its own client uses."""

    name = "chroma"

    def __init__(self, program: str) -> None:
        self._program = program
        self._path = ""

    def command(self, folder: Path, port: int) -> list[str]:
        return [self._program, "run", "--path", str(folder), "--port", str(port), "--host", "127.0.0.1"]

    async def create(self, wire: Wire, dim: int) -> None:  # noqa: ARG002 (it learns it from the first upsert)
        base = "/api/v2/tenants/default_tenant/databases/default_database/collections"
        configuration = {"hnsw": {"space": "cosine", "ef_search": 100}}
        body = {"name": "bench", "configuration": configuration, "get_or_create": True}
        made = orjson.loads(await wire.ask(request("POST", base, body)))
        self._path = f"{base}/{made['id']}"

    def upsert(self, ids: range, vectors: Floats) -> bytes:
        body = {
            "ids": [str(i) for i in ids],
            "embeddings": vectors.tolist(),
            "metadatas": [{"page": i} for i in ids],
        }
        return request("POST", f"{self._path}/upsert", body)

    def query(self, vector: Floats, effort: Any) -> bytes:  # noqa: ARG002 (its beam is the collection's)
        body = {"query_embeddings": [vector.tolist()], "n_results": K, "include": ["metadatas", "distances"]}
        return request("POST", f"{self._path}/query", body)

    def efforts(self) -> list[Any]:
        return [None]  # its beam is set when the collection is made

    def found(self, body: bytes) -> list[int]:
        return [int(id_) for id_ in orjson.loads(body)["ids"][0]]


@contextmanager
def running(service: Service, core: int, folder: Path | None = None) -> Iterator[tuple[int, psutil.Process]]:
    """The server as a process on one core: its port and process. Without a folder its data go away with it."""
    with tempfile.TemporaryDirectory(prefix="bench-service-") as temporary:
        folder = folder or Path(temporary)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        own = {"PQDB_PATH": str(folder), "PQDB_PORT": str(port)}
        environment = {**os.environ, **own, **service.environment()}
        process = subprocess.Popen(
            service.command(folder, port),
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        os.sched_setaffinity(process.pid, [core])
        try:
            _wait_for(port, process)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(READY_SECONDS * 20):
        assert process.poll() is None, "the server ended before it listened"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not listen")


def own_bytes(process: psutil.Process) -> int:
    """Resident memory that is the process's own, not the page cache's."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)

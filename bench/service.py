"""`python -m bench.service DATA.hdf5`: our service and Chroma's, the same data, the same driver, one core each.

Each server is a process of its own on one core (`chroma run` where the program `chroma` is found, or named by
--chroma), the driver runs on the others. Asked are upserts in batches by one connection; queries by one
keep-alive connection at equal recall; and queries by 64 connections while another one writes. Memory is what
the server's resident set grew by over the idle server, page cache of its files left out where it can be told.
"""

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import orjson
import psutil

from bench import machine, notes

K = 10
BATCH = 500
CONNECTIONS = 64
_READY_SECONDS = 120
_JSON = b"content-type: application/json\r\n"

Floats = npt.NDArray[np.float32]


class Service:
    """One server under test: how it is started and what is sent to it."""

    name = ""

    def command(self, folder: Path, port: int) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What it is told besides."""
        return {}

    async def create(self, wire: "Wire", dim: int) -> None:
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

    async def settled(self, wire: "Wire") -> None:
        """Wait until the index is built."""


class Pqdb(Service):
    """`python -m pqdb_server`."""

    name = "pqdb"

    def command(self, folder: Path, port: int) -> list[str]:  # noqa: ARG002 (both are told by the environment)
        return [sys.executable, "-m", "pqdb_server"]

    def environment(self) -> dict[str, str]:
        return {"PQDB_LOG_LEVEL": "warning"}

    async def create(self, wire: "Wire", dim: int) -> None:
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
        return [0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999]

    def found(self, body: bytes) -> list[int]:
        return [hit["id"] for hit in orjson.loads(body)["result"]["points"]]

    async def settled(self, wire: "Wire") -> None:
        answer = orjson.loads(await wire.ask(request("POST", "/pqdb/v1/collections/bench/optimize", None)))
        for _ in range(3_000):
            job = orjson.loads(await wire.ask(request("GET", f"/pqdb/v1/jobs/{answer['result']['job']}", None)))
            if job["result"]["status"] != "running":
                return
            await asyncio.sleep(0.1)


class Chroma(Service):
    """`chroma run`, by the routes its own client uses."""

    name = "chroma"

    def __init__(self, program: str) -> None:
        self._program = program
        self._path = ""

    def command(self, folder: Path, port: int) -> list[str]:
        return [self._program, "run", "--path", str(folder), "--port", str(port), "--host", "127.0.0.1"]

    async def create(self, wire: "Wire", dim: int) -> None:  # noqa: ARG002 (it learns it from the first upsert)
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


def request(method: str, path: str, body: Any, headers: bytes = b"") -> bytes:
    """A request of HTTP/1.1, ready to be sent as often as one likes."""
    content = b"" if body is None else orjson.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(content)}\r\n".encode()
    return head + _JSON + headers + b"\r\n" + content


class Wire:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Wire":
        """A new connection."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**24))

    async def ask(self, sent: bytes) -> bytes:
        """The body of the answer. Raises AssertionError for a status other than 2xx."""
        self._writer.write(sent)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        body = await (self._reader.readexactly(int(length)) if length else self._chunks())
        assert head[9:10] == b"2", (head, body[:300])
        return body

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back."""
        self._writer.close()


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


@contextmanager
def running(service: Service, core: int) -> Iterator[tuple[int, psutil.Process]]:
    """The server as a process on one core: its port and process."""
    with tempfile.TemporaryDirectory(prefix="bench-service-") as folder:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        own = {"PQDB_PATH": folder, "PQDB_PORT": str(port)}
        environment = {**os.environ, **own, **service.environment()}
        process = subprocess.Popen(
            service.command(Path(folder), port),
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
    for _ in range(_READY_SECONDS * 20):
        assert process.poll() is None, "the server ended before it listened"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not listen")


async def measure(service: Service, data: Data, core: int, seconds: float) -> dict[str, Any]:
    """Everything about one server."""
    with running(service, core) as (port, process):
        wire = await Wire.open(port)
        await service.create(wire, data.points.shape[1])
        idle = own_bytes(process)
        written = await _upserts(service, wire, data)
        await service.settled(wire)
        grown = own_bytes(process) - idle
        efforts = []
        for effort in service.efforts():
            recall = await _recall(service, wire, data, effort)
            efforts.append({"effort": effort, "recall": recall})
        return {
            "upserts a second": written,
            "grown bytes": grown,
            "efforts": efforts,
            "process": process.pid,
            "port": port,
            **await _timed(service, wire, data, seconds, efforts, process, port),
        }


def own_bytes(process: psutil.Process) -> int:
    """Resident memory that is the process's own, not the page cache's."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


async def _upserts(service: Service, wire: Wire, data: Data) -> float:
    n = len(data.points)
    requests = [
        service.upsert(range(start, min(start + BATCH, n)), data.points[start : start + BATCH])
        for start in range(0, n, BATCH)
    ]
    began = time.perf_counter()
    for sent in requests:
        await wire.ask(sent)
    return n / (time.perf_counter() - began)


async def _recall(service: Service, wire: Wire, data: Data, effort: Any) -> float:
    hits = 0
    for query, truth in zip(data.queries, data.truth, strict=True):
        hits += len(set(service.found(await wire.ask(service.query(query, effort)))) & set(truth.tolist()))
    return hits / data.truth.size


_wanted: dict[str, float] = {}  # the recall the first server reached, which the others are held to


async def _timed(
    service: Service, wire: Wire, data: Data, seconds: float, efforts: list[dict[str, Any]],
    process: psutil.Process, port: int,
) -> dict[str, Any]:  # fmt: skip
    wanted = _wanted.setdefault("recall", efforts[-1]["recall"])
    chosen = next((each for each in efforts if each["recall"] >= wanted), efforts[-1])
    asked = [service.query(query, chosen["effort"]) for query in data.queries]
    before = process.cpu_times()
    alone = await _ask_for(wire, asked, seconds)
    after = process.cpu_times()
    spent = (after.user + after.system - before.user - before.system) / len(alone)
    crowd = await _crowd(service, data, asked, seconds, port)
    return {
        "recall": chosen["recall"],
        "queries a second": len(alone) / sum(alone),
        "server CPU a query, µs": spent * 1e6,
        "p50 ms": float(np.percentile(alone, 50)) * 1e3,
        "p99 ms": float(np.percentile(alone, 99)) * 1e3,
        "64 connections: queries a second": len(crowd) / seconds,
        "64 connections: p50 ms": float(np.percentile(crowd, 50)) * 1e3,
        "64 connections: p99 ms": float(np.percentile(crowd, 99)) * 1e3,
    }


async def _ask_for(wire: Wire, asked: list[bytes], seconds: float) -> list[float]:
    """Seconds of each query, one after the other."""
    taken = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await wire.ask(asked[len(taken) % len(asked)])
        taken.append(time.perf_counter() - began)
    return taken


async def _crowd(service: Service, data: Data, asked: list[bytes], seconds: float, port: int) -> list[float]:
    """The same from many connections, while one more writes points again."""
    wires = [await Wire.open(port) for _ in range(CONNECTIONS + 1)]
    starts = range(0, 5_000, 50)
    writes = [service.upsert(range(start, start + 50), data.points[start : start + 50]) for start in starts]
    writer = asyncio.create_task(_ask_for(wires[-1], writes, seconds))
    taken = await asyncio.gather(*(_ask_for(wire, asked[i:] + asked[:i], seconds) for i, wire in enumerate(wires[:-1])))
    await writer
    for wire in wires:
        wire.close()
    return [each for one in taken for each in one]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure both, print a table, keep the numbers."""
    parser = argparse.ArgumentParser(prog="python -m bench.service", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--chroma", default=shutil.which("chroma"), help="the program, where it is not on the PATH")
    parser.add_argument("--out", type=Path, default=notes.RESULTS)
    options = parser.parse_args(arguments)
    services: list[Service] = [Chroma(options.chroma)] if options.chroma else []
    services.append(Pqdb())
    data, card = Data.load(options.data, options.points, options.queries), machine.card()
    found = {each.name: asyncio.run(measure(each, data, options.core, options.seconds)) for each in services}
    print("\n".join(_table(found)))
    print(notes.keep(options.out, "service", {"machine": card, "points": len(data.points), "servers": found}))


def _table(found: dict[str, dict[str, Any]]) -> list[str]:
    rows = [key for key in next(iter(found.values())) if key not in ("efforts", "process", "port")]
    lines = [f"| | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    for row in rows:
        values = [numbers[row] for numbers in found.values()]
        lines.append(f"| {row} | {' | '.join(f'{v:,.0f}' if v >= 100 else f'{v:.3g}' for v in values)} |")
    return lines


if __name__ == "__main__":
    main()

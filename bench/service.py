"""`python -m bench.service DATA.hdf5`: our service and Chroma's, the same data, the same driver, one core each.

Each server is a process of its own on one core (`chroma run` where the program `chroma` is found, or named by
--chroma), the driver runs on the others. Asked are upserts in batches by one connection; queries by one
keep-alive connection at equal recall; and queries by 64 connections while another one writes. Memory is what
the server's resident set grew by over the idle server, page cache of its files left out where it can be told.
Of pqdb also: bulk upserts as npy, and the processor time that the engine alone takes for the same queries, so that
what the service adds can be told. Servers are measured when they have nothing left to do of their own.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench import machine, notes
from bench.servers import READY_SECONDS, Chroma, Data, Pqdb, Service, own_bytes, running
from bench.wire import Wire

BATCH = 500
CONNECTIONS = 64


async def measure(service: Service, data: Data, core: int, seconds: float) -> dict[str, Any]:
    """Everything about one server."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-service-") as folder,
        running(service, core, Path(folder)) as (port, process),
    ):
        wire = await Wire.open(port)
        await service.create(wire, data.points.shape[1])
        requests = _batches(service, data)
        await _quiet(process)
        idle = own_bytes(process)
        written = await _upserts(wire, requests, len(data.points))
        await service.settled(wire)
        grown = own_bytes(process) - idle
        efforts = []
        for effort in service.efforts():
            recall = await _recall(service, wire, data, effort)
            efforts.append({"effort": effort, "recall": recall})
        chosen = _chosen(efforts)
        return {
            "upserts a second": written,
            "idle bytes": idle,
            "grown bytes": grown,
            "efforts": efforts,
            "process": process.pid,
            "port": port,
            **await _timed(service, wire, data, seconds, chosen, process, port),
            **await service.extras(wire, data, chosen["effort"], Path(folder)),
        }


async def _quiet(process: psutil.Process) -> None:
    """Wait until the server rests: what it loads at its start, learns from queries or writes behind is not measured."""
    for _ in range(READY_SECONDS):
        before = sum(process.cpu_times()[:2])
        await asyncio.sleep(1)
        if sum(process.cpu_times()[:2]) - before < 0.02:
            return


def _batches(service: Service, data: Data) -> list[bytes]:
    n = len(data.points)
    return [
        service.upsert(range(start, min(start + BATCH, n)), data.points[start : start + BATCH])
        for start in range(0, n, BATCH)
    ]


async def _upserts(wire: Wire, requests: list[bytes], n: int) -> float:
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


def _chosen(efforts: list[dict[str, Any]]) -> dict[str, Any]:
    """The least effort whose recall is what the first server reached."""
    wanted = _wanted.setdefault("recall", efforts[-1]["recall"])
    return next((each for each in efforts if each["recall"] >= wanted), efforts[-1])


async def _timed(
    service: Service, wire: Wire, data: Data, seconds: float, chosen: dict[str, Any],
    process: psutil.Process, port: int,
) -> dict[str, Any]:  # fmt: skip
    asked = [service.query(query, chosen["effort"]) for query in data.queries]
    await _ask_for(wire, asked, 2 * seconds)  # pqdb learns from queries at first: not what is measured
    await _quiet(process)
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
    parser.add_argument("--points", type=int, default=51_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--chroma", default=shutil.which("chroma"), help="the program, where it is not on the PATH")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    options = parser.parse_args(arguments)
    services: list[Service] = [Chroma(options.chroma)] if options.chroma else []
    services.append(Pqdb())
    data, card = Data.load(options.data, options.points, options.queries), machine.card()
    found = {each.name: asyncio.run(measure(each, data, options.core, options.seconds)) for each in services}
    print("\n".join(_table(found)))
    print(notes.keep(options.out, "service", {"machine": card, "points": len(data.points), "servers": found}))


def _table(found: dict[str, dict[str, Any]]) -> list[str]:
    """A row for each number, servers side by side, a dash where one was not asked."""
    names = dict.fromkeys(key for numbers in found.values() for key in numbers)
    lines = [f"| | {' | '.join(found)} |", f"|---|{'---:|' * len(found)}"]
    for name in names:
        if name not in ("efforts", "process", "port"):
            values = [numbers.get(name) for numbers in found.values()]
            lines.append(f"| {name} | {' | '.join(map(_number, values))} |")
    return lines


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()

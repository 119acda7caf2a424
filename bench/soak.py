"""`python -m bench.soak`: the service under a mixed load for a long time. No request may fail, memory must stay flat.

Several connections query (plainly, with a filter, in batches), one replaces points, one deletes and writes again, one
changes payloads, one scrolls and counts. The server's own memory is looked at sixty times; after a first quarter to
settle in, the last third may not hold more than the one before it by a tenth and 16 MiB. Ends with status 1 otherwise.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from bench import machine, notes
from bench.servers import Pqdb, own_bytes, running
from bench.wire import Wire, request

POINTS, DIM = 20_000, 128
LOOKS = 60
SLACK, SLACK_BYTES = 1.1, 16 * 1024 * 1024
_C = "/collections/bench"

Floats = npt.NDArray[np.float32]


class Load:
    """What the connections send, until the time is over."""

    def __init__(self, port: int, seconds: float) -> None:
        self.sent: Counter[str] = Counter()
        self.failed: list[str] = []
        self._port = port
        self._end = time.monotonic() + seconds
        self._rng = np.random.default_rng(0)
        self._centres = self._rng.standard_normal((200, DIM)).astype(np.float32)

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self._end

    def vectors(self, n: int) -> Floats:
        """(n, DIM) vectors in clusters."""
        near = self._centres[self._rng.integers(len(self._centres), size=n)]
        return near + 0.5 * self._rng.standard_normal((n, DIM)).astype(np.float32)

    def points(self, ids: Sequence[int]) -> bytes:
        """A request that writes them."""
        rows = zip(ids, self.vectors(len(ids)).tolist(), strict=True)
        body = [{"id": i, "vector": row, "payload": {"page": i, "lang": ("en", "de")[i % 2]}} for i, row in rows]
        return request("PUT", f"{_C}/points?wait=true", {"points": body})

    def some(self, n: int) -> list[int]:
        """Ids of points, most of them there."""
        found: list[int] = self._rng.integers(POINTS, size=n).tolist()
        return found

    def query(self) -> bytes:
        """The ten nearest to a vector."""
        return request("POST", f"{_C}/points/query", self._question())

    def filtered(self) -> bytes:
        """The ten nearest of one language."""
        return request("POST", f"{_C}/points/query", self._question() | {"filter": _where("lang", "de")})

    def batch(self) -> bytes:
        """Five questions at once."""
        return request("POST", f"{_C}/points/query/batch", {"searches": [self._question() for _ in range(5)]})

    def replacement(self) -> bytes:
        """Other vectors for some points."""
        return self.points(self.some(50))

    def deletion(self) -> bytes:
        """Some points go."""
        return request("POST", f"{_C}/points/delete?wait=true", {"points": self.some(20)})

    def payload(self) -> bytes:
        """Some payloads change."""
        return request("POST", f"{_C}/points/payload?wait=true", {"payload": {"seen": 1}, "points": self.some(20)})

    def scroll(self) -> bytes:
        """A page from somewhere."""
        return request("POST", f"{_C}/points/scroll", {"limit": 100, "offset": self.some(1)[0], "with_vector": True})

    def count(self) -> bytes:
        """How many have one language."""
        return request("POST", f"{_C}/points/count", {"filter": _where("lang", "en")})

    async def send(self, *kinds: str, pause: float = 0.0) -> None:
        """One connection that sends requests of these kinds in turn."""
        wire = await Wire.open(self._port)
        while self.goes_on:
            for kind in kinds:
                try:
                    await wire.ask(getattr(self, kind)())
                except (AssertionError, OSError, asyncio.IncompleteReadError) as error:
                    self.failed.append(f"{kind}: {str(error)[:300]}")
                    wire.close()
                    wire = await Wire.open(self._port)
                self.sent[kind] += 1
                await asyncio.sleep(pause)
        wire.close()

    def _question(self) -> dict[str, Any]:
        return {"query": self.vectors(1)[0].tolist(), "limit": 10, "with_payload": True}


def _where(key: str, value: str) -> dict[str, Any]:
    return {"must": [{"key": key, "match": {"value": value}}]}


async def soak(seconds: float, core: int) -> dict[str, Any]:
    """The whole story."""
    with running(Pqdb(), core) as (port, process):
        load = Load(port, seconds)
        wire = await Wire.open(port)
        await Pqdb().create(wire, DIM)
        index = {"field_name": "lang", "field_schema": "keyword"}
        await wire.ask(request("PUT", f"{_C}/index?wait=true", index))
        for start in range(0, POINTS, 500):
            await wire.ask(load.points(range(start, start + 500)))
        wire.close()
        looked = asyncio.create_task(_looks(process, load, seconds / LOOKS))
        await asyncio.gather(
            load.send("query"),
            load.send("query", "filtered", "batch"),
            load.send("replacement", pause=0.02),
            load.send("deletion", "replacement", pause=0.05),
            load.send("payload", pause=0.1),
            load.send("scroll", "count", pause=0.05),
        )
        return {"seconds": seconds, "sent": dict(load.sent), "failed": load.failed, "own bytes": await looked}


async def _looks(process: psutil.Process, load: Load, every: float) -> list[int]:
    looks = []
    while load.goes_on:
        await asyncio.sleep(every)
        looks.append(own_bytes(process))
    return looks


def is_flat(looks: Sequence[int]) -> bool:
    """Whether the last third of what was held is no more than the third before it, but for slack."""
    settled = looks[len(looks) // 4 :]
    third = max(1, len(settled) // 3)
    before, after = statistics.mean(settled[third : 2 * third]), statistics.mean(settled[-third:])
    return after <= SLACK * before + SLACK_BYTES


def main(arguments: Sequence[str] | None = None) -> None:
    """Soak, print the figures, keep them."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), help="the server's")
    parser.add_argument("--out", type=Path, default=notes.RESULTS, help="the folder where numbers are kept")
    options = parser.parse_args(arguments)
    found = asyncio.run(soak(options.seconds, options.core))
    looks = found["own bytes"]
    megabytes = [round(look / 2**20) for look in looks]
    print(f"{sum(found['sent'].values()):,} requests in {options.seconds:,.0f} s: {found['sent']}")
    print(f"failed: {len(found['failed'])}", *found["failed"][:10], sep="\n  ")
    print(f"own memory, MiB: {megabytes}")
    print(notes.keep(options.out, "soak", {"machine": machine.card(), **found}))
    if found["failed"] or not is_flat(looks):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

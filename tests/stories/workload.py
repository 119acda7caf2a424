"""What the stories of crashes do to a database: random operations, announced and acknowledged, and a model of them.

Every operation is a line, so that the test reads from the dead child's words what must be there. A point's vector and
payload name the operation that wrote it. A line that was announced but not acknowledged may have happened or not, as
a whole.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import pqdb
from pqdb.partition import split
from pqdb.store.segments import SEGMENT_ROWS
from pqdb.upkeep import build, compact, shared, steps
from tests.processes import say
from tests.stories import kill_points

DIM = 8
IDS = 200  # of each thread
THREADS = 4
MODES = ("manual", "background", "threads")
SMALL_MAP = 1 << 20  # bytes, and the least: one upsert into a new collection outgrows it
SECOND = 400  # points of the second collection, with long payloads; then others fill a segment of sparse vectors
WEIGHTS = {
    "upsert": 32, "delete": 10, "mark": 10, "pair": 14, "strip": 6, "make": 8, "drop": 8,
    "optimize": 12, "train": 8, "compact": 6, "rollback": 4, "index": 5,
}
CONTENT = ("upsert", "delete", "mark")
PAIRS = ("pair", "strip")  # of the collection whose vectors have names

Payload = dict[str, int]


@dataclass(frozen=True)
class Operation:
    """One operation: its number names what it writes."""

    thread: int
    number: int
    verb: str
    ids: tuple[int, ...]

    def line(self) -> str:
        """As it is announced."""
        return " ".join(map(str, ("begin", self.thread, self.number, self.verb, *self.ids)))

    @classmethod
    def from_line(cls, line: str) -> Operation:
        """From its announcement."""
        _, thread, number, verb, *ids = line.split()
        return cls(int(thread), int(number), verb, tuple(map(int, ids)))


@dataclass
class Model:
    """What must be there: the payload of every point, whether the second collection exists, and in the one of pairs the
    operation that wrote each point, and whether it has both vectors.
    """

    points: dict[int, Payload] = field(default_factory=dict)
    second: bool = False
    pairs: dict[int, tuple[int, bool]] = field(default_factory=dict)

    def after(self, operation: Operation) -> Model:
        """The model after one operation."""
        points, second, pairs = dict(self.points), self.second, dict(self.pairs)
        for each in operation.ids:
            if operation.verb == "pair":
                pairs[each] = (operation.number, has_both(each))
            elif operation.verb == "strip":
                pairs |= {each: (pairs[each][0], False)} if each in pairs else {}
            elif operation.verb == "upsert":
                points[each] = {"batch": operation.number}
            elif operation.verb == "delete":
                points.pop(each, None)
            elif each in points:
                points[each] = {**points[each], "mark": operation.number}
        if operation.verb in ("make", "drop"):
            second = operation.verb == "make"
        return Model(points, second, pairs)


def vector_of(number: int) -> np.ndarray:
    """A vector that names the operation it came with."""
    return np.random.default_rng(number).standard_normal(DIM).astype(np.float32)


def words_of(number: int) -> pqdb.SparseVector:
    """A sparse one that does."""
    return pqdb.SparseVector([0, number + 1], [1.0, 2.0])


def has_both(each: int) -> bool:
    """Whether a point is written with both vectors."""
    return each % 3 > 0


def prepare(path: Path) -> None:
    """The database all of it happens to."""
    with reopened(path) as database:
        database.create_collection("things", DIM, "l2")
        vectors = {name: pqdb.VectorConfig(DIM, "l2") for name in "ab"} | {"words": pqdb.SparseConfig()}
        database.create_collection("pairs", vectors=vectors)


def reopened(path: Path) -> pqdb.Database:
    """The database, with maps so small that they must grow."""
    return pqdb.open(path, upkeep="manual", map_size=SMALL_MAP)


# -- the child


def write_until_killed(path: str, seed: str, mode: str, point: str = "", nth: str = "1") -> None:
    """Operations without end; the test kills us, or we die at a named point."""
    _shrink_upkeep()
    if point:
        kill_points.arm(point, int(nth))
    weights = _favouring(kill_points.POINTS[point].verb) if point else WEIGHTS
    if mode == "background":
        _hurry_upkeep()
    upkeep: Any = "background" if mode == "background" else "manual"
    with pqdb.open(path, upkeep=upkeep, upkeep_share=1, map_size=SMALL_MAP) as database:
        say("open")
        if mode != "threads":
            _operate(database, int(seed), 0, weights)
        content = {verb: WEIGHTS[verb] for verb in CONTENT}
        threads = [
            threading.Thread(target=_operate, args=(database, int(seed), number, content)) for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def write_some(path: str, seed: str, n: str) -> None:
    """So many operations and then the end; a backup in the middle of them."""
    _shrink_upkeep()
    with pqdb.open(path, upkeep="manual", map_size=SMALL_MAP) as database:
        say("open")
        _operate(database, int(seed), 0, WEIGHTS, int(n) // 2)
        database.backup(Path(path).with_name("backup"))
        say("backed up")
        _operate(database, int(seed) + 1, 0, WEIGHTS, int(n) // 2)


def _favouring(verb: str) -> dict[str, int]:
    """All verbs, and one of them as often as half of the others: what a point waits for comes soon."""
    return WEIGHTS | ({verb: sum(WEIGHTS.values()) // 2} if verb else {})


def _shrink_upkeep() -> None:
    """What takes thousands of rows takes tens: generations of several lists and commits, moves, splits and merges."""
    build.PART_BYTES = 40 * 4 * DIM
    build.choose_n_lists = lambda n: max(1, n // 20)
    split.FEWEST_ROWS = 8
    compact.COMMIT_BYTES, compact.SETTLED_AT_ONCE = 40 * 4 * DIM, 32
    steps.FEWEST_DEAD = shared.FEWEST_DEAD = shared.FRESH_ROWS = 50  # type: ignore[attr-defined]


def _hurry_upkeep() -> None:
    """Train and index after every few rows, not every few thousand."""
    steps.TRAIN_ROWS, steps.FRESH_ROWS, steps.RETRAIN_GROWTH = 30, 20, 2  # type: ignore[assignment]


def _operate(
    database: pqdb.Database, seed: int, thread: int, weights: dict[str, int], operations: int = 100_000
) -> None:
    rng = np.random.default_rng([seed, thread])
    verbs, shares = list(weights), np.array(list(weights.values())) / sum(weights.values())
    first = (seed * THREADS + thread) * 100_000
    for number in range(first, first + operations):
        verb = str(rng.choice(verbs, p=shares))
        n = int(rng.integers(1, 60)) if verb in CONTENT + PAIRS else 0
        ids = tuple((thread * IDS + rng.integers(0, IDS, n)).tolist())
        operation = Operation(thread, number, verb, ids)
        say(operation.line())
        _perform(database, operation)
        say(f"done {thread}")


def _perform(database: pqdb.Database, operation: Operation) -> None:
    things, ids, number = database["things"], list(operation.ids), operation.number
    if operation.verb == "upsert":
        things.upsert(ids, np.tile(vector_of(number), (len(ids), 1)), [{"batch": number}] * len(ids))
    elif operation.verb == "delete":
        things.delete(ids)
    elif operation.verb == "mark":
        things.set_payload({"mark": number}, ids)
    elif operation.verb == "pair":
        vector = vector_of(number)
        of_pair = {"a": [vector] * len(ids), "b": [vector if has_both(each) else None for each in ids]}
        of_pair["words"] = [words_of(number)] * len(ids)
        database["pairs"].upsert(ids, of_pair, [{"batch": number}] * len(ids))
    elif operation.verb == "strip":
        database["pairs"].delete_vectors("b", ids)
    elif operation.verb == "make":
        if "second" not in database:
            vectors = {"": pqdb.VectorConfig(DIM), "words": pqdb.SparseConfig()}
            second, words = database.create_collection("second", vectors=vectors), [{7: 1.0}] * SEGMENT_ROWS
            rows, payloads = np.ones((SECOND, DIM)), [{"text": "x" * 3_000}] * SECOND
            second.upsert(np.arange(SECOND), {"": rows, "words": words[:SECOND]}, payloads)
            second.upsert(np.arange(SECOND, SEGMENT_ROWS), {"words": words[SECOND:]})
    elif operation.verb == "drop":
        database.drop_collection("second")
    elif operation.verb == "index":
        if not things.create_payload_index("batch", "integer"):
            things.drop_payload_index("batch")
    else:
        how: dict[str, Any] = {"using": "b"} if operation.verb == "rollback" else {}
        for collection, arguments in ((things, {}), (database["pairs"], how)):
            with suppress(pqdb.InputError if operation.verb == "rollback" else ()):  # there may be none before
                getattr(collection, operation.verb)(**arguments)


# -- the test


def told(model: Model, lines: list[str]) -> tuple[Model, list[Operation]]:
    """The model after all that was acknowledged, and what was announced and not acknowledged: one a thread at most."""
    pending: dict[int, Operation] = {}
    for line in lines:
        word, *rest = line.split()
        if word == "begin":
            operation = Operation.from_line(line)
            pending[operation.thread] = operation
        elif word == "done":
            model = model.after(pending.pop(int(rest[0])))
    return model, list(pending.values())


def found_in(database: pqdb.Database) -> Model:
    """What is there, after vector, payload and searches were found to agree on it."""
    things = database["things"]
    points = things.scroll(10_000, with_vector=True).points
    assert len(points) == len(things)
    found: dict[int, Payload] = {}
    for point in points:
        assert isinstance(point.id, int)
        assert point.payload is not None
        found[point.id] = point.payload
        assert point.vector is not None
        assert np.array_equal(point.vector, vector_of(point.payload["batch"]))
    for batch in list(dict.fromkeys(payload["batch"] for payload in found.values()))[:3]:
        mine = {each for each, payload in found.items() if payload["batch"] == batch}
        assert set(things.search(vector_of(batch), len(mine), exact=True).ids) == mine
        assert set(things.search(vector_of(batch), len(mine), nprobe=99, rerank=10_000).ids) == mine
        of_batch = {"must": [{"key": "batch", "match": {"value": batch}}]}
        assert {point.id for point in things.scroll(10_000, filter=of_batch).points} == mine
    pairs = _pairs_in(database["pairs"])
    if "second" in database:
        assert len(database["second"]) in (0, SECOND, SEGMENT_ROWS)
        assert len(database["second"].search({7: 1.0}, 10_000, using="words")) == len(database["second"])
        assert database["second"].verify() == []
    return Model(found, "second" in database, pairs)


def _pairs_in(collection: pqdb.Collection) -> dict[int, tuple[int, bool]]:
    """What the collection of pairs holds, after its vectors and searches were found to agree on it."""
    assert collection.verify() == []
    found: dict[int, tuple[int, bool]] = {}
    for point in collection.scroll(10_000, with_vector=True).points:
        assert isinstance(point.id, int)
        assert point.payload is not None
        number = point.payload["batch"]
        assert point.vector.pop("words") == words_of(number)
        assert all(np.array_equal(vector, vector_of(number)) for vector in point.vector.values())
        found[point.id] = (number, "b" in point.vector)
    assert set(collection.search({0: 1.0}, 10_000, using="words").ids) == found.keys()
    for batch in list(dict.fromkeys(number for number, _ in found.values()))[:2]:
        theirs = {each for each, (number, _) in found.items() if number == batch}
        assert set(collection.search({batch + 1: 1.0}, 10_000, using="words").ids) == theirs
        for name in "ab":
            mine = {each for each, (number, both) in found.items() if number == batch and (both or name == "a")}
            if mine:
                assert set(collection.search(vector_of(batch), len(mine), exact=True, using=name).ids) == mine
                hits = collection.search(vector_of(batch), len(mine), nprobe=99, rerank=10_000, using=name)
                assert set(hits.ids) == mine
    return found


def agrees(found: Model, model: Model, pending: list[Operation]) -> bool:
    """Whether what was found is the model, with each pending operation done as a whole or not at all.

    (Threads have points of their own, so their operations do not meet.)
    """
    for operation in pending:
        after = model.after(operation)
        lo, hi = operation.thread * IDS, (operation.thread + 1) * IDS
        mine = {each: payload for each, payload in found.points.items() if lo <= each < hi}
        elsewhere = operation.verb in CONTENT or (found.second, found.pairs) == (after.second, after.pairs)
        if elsewhere and mine == {each: payload for each, payload in after.points.items() if lo <= each < hi}:
            model = after
    return found == model

"""The demo's collection: built from the standard library on the first run, found again on every later one."""

import platform
import time
from dataclasses import dataclass

import pqdb
from pqdb.bars import bar, stages
from pqdb.demo import corpus
from pqdb.demo.corpus import Passage
from pqdb.demo.embed import DIM, MODEL, Embedder

NAME = "stdlib"
BATCH = 4_096  # passages embedded and committed at once


@dataclass(frozen=True)
class Library:
    """The collection, and how long each step of making it took: nothing when an earlier run had made it."""

    collection: pqdb.Collection
    seconds: dict[str, float]


def library(db: pqdb.Database, embedder: Embedder) -> Library:
    """The collection of this Python's passages, made or finished if need be."""
    if NAME in db:
        collection = db[NAME]
        if _is_whole(collection):
            collection.optimize()
            return Library(collection, {})
        db.drop_collection(NAME)  # interrupted, or another Python's
    return _build(db, embedder)


def _is_whole(collection: pqdb.Collection) -> bool:
    return collection.metadata == _metadata(len(collection))


def _metadata(passages: int) -> dict[str, str | int]:
    return {"python": platform.python_version(), "model": MODEL, "passages": passages}


def _build(db: pqdb.Database, embedder: Embedder) -> Library:
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    passages = _read()
    began = _lap(seconds, "read", began)
    collection = db.create_collection(NAME, DIM, metadata=_metadata(len(passages)))
    with bar("embedding and storing", len(passages), "passages") as progress:
        for start in range(0, len(passages), BATCH):
            batch = passages[start : start + BATCH]
            ids = list(range(start, start + len(batch)))
            vectors = embedder.embed([passage.spoken() for passage in batch])
            collection.upsert(ids, vectors, [passage.payload() for passage in batch])
            progress.update(len(batch))
    began = _lap(seconds, "embedded and stored", began)
    with stages() as progress_of:
        collection.optimize(progress=progress_of)
    _lap(seconds, "trained and indexed", began)
    return Library(collection, seconds)


def _read() -> list[Passage]:
    root = corpus.standard_library()
    files = corpus.source_files(root)
    found: list[Passage] = []
    with bar("reading docstrings, comments", len(files), "files") as progress:
        for file in files:
            found += corpus.passages_of_file(file, root)
            progress.update(1)
    return corpus.distinct(found)


def _lap(seconds: dict[str, float], step: str, began: float) -> float:
    now = time.perf_counter()
    seconds[step] = now - began
    return now

"""What the demo measures of its collection: recall on its rows and on questions unlike them, speed, bytes."""

import time
from dataclasses import dataclass

import numpy as np

import pqdb
from pqdb.demo.embed import Embedder

QUESTIONS = 500  # asked first, for the database to learn from; as many others are measured
WORDS = 6  # of a passage's opening: as short as what people ask
SECONDS = 1.0  # of searching, to count queries


@dataclass(frozen=True)
class Measured:
    """The numbers of the report."""

    passages: int
    float_bytes: int
    code_bytes: int
    recall_of_rows: pqdb.RecallReport  # passages as queries, each without itself
    recall_of_questions: pqdb.RecallReport  # short texts, which lie elsewhere than the passages
    queries_per_second: float


def measure(collection: pqdb.Collection, embedder: Embedder) -> Measured:
    """Search with the opening words of passages, which are no rows of the collection, and count."""
    questions = embedder.embed(_openings(collection))
    asked, others = questions[::2], questions[1::2]
    speed = _speed(collection, asked)
    collection.optimize()  # it learns from the questions asked what a recall takes
    return Measured(
        passages=len(collection),
        float_bytes=len(collection) * collection.dim * 4,
        code_bytes=collection.info()["hot_bytes"],
        recall_of_rows=collection.measure_recall(k=10, sample=QUESTIONS),
        recall_of_questions=collection.measure_recall(k=10, queries=others),
        queries_per_second=speed,
    )


def _openings(collection: pqdb.Collection) -> list[str]:
    ids = np.linspace(0, len(collection) - 1, 2 * QUESTIONS, dtype=int).tolist()
    payloads = (point.payload or {} for point in collection.get(ids))
    return [" ".join(str(payload["text"]).split()[:WORDS]) for payload in payloads]


def _speed(collection: pqdb.Collection, questions: np.ndarray) -> float:
    for question in questions[:20]:
        collection.search(question, k=10)
    began = time.perf_counter()
    asked = 0
    while (passed := time.perf_counter() - began) < SECONDS:
        collection.search(questions[asked % len(questions)], k=10)
        asked += 1
    return asked / passed

"""Searches in other ways than for the k nearest: in groups, unlike one another, by examples."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from pqdb.errors import InputError
from pqdb.hits import Group, Hits
from pqdb.metric import prepare
from pqdb.query.conditions import Filter, but_not
from pqdb.query.parse import parse_filter
from pqdb.query.path import parse_path
from pqdb.search.diversity import choose
from pqdb.search.found import Found, answered
from pqdb.search.recommend import averaged, best_scored
from pqdb.search.snapshot import Snapshot
from pqdb.search.trim import trimmed
from pqdb.store.moment import Moment
from pqdb.verbs.given import Terms, Wanted, check_depth, check_k, check_offset, is_id
from pqdb.verbs.searching import Searching


class Variants(Searching):
    """Points near a query, but not only that."""

    def search_groups(
        self,
        query: object,
        group_by: str,
        limit: int = 10,
        group_size: int = 3,
        *,
        recall: float | None = None,
        filter: object = None,
        exact: bool = False,
        with_payload: bool = True,
        with_vector: Wanted = False,
        score_threshold: float | None = None,
        using: str | None = None,
    ) -> list[Group]:
        """The nearest groups of points that have the same string or integer at a key, each with its nearest points.

        query: a vector or the id of a point, as for search. Up to `limit` groups, the one with the nearest point first;
        each has `group_size` points unless there are fewer. Raises FilterError, InputError and kin.
        """
        check_k(limit, "limit")
        check_k(group_size, "group_size")
        path, asked, vector = parse_path(group_by), None if filter is None else parse_filter(filter), query
        self._guard_vector(using)
        with Moment(self._blocks, self._points) as (blocks, points):
            snapshot = self._snapshot(points, blocks)
            if is_id(query):
                vector, asked = self._by_id(snapshot, query, asked)
            queries = self._one_query(vector)

            def find(k: int, among: Filter | None) -> Hits:
                found = self._found(snapshot, queries, True, among, exact, 0, (k, recall, None, None))
                if score_threshold is not None:
                    found = trimmed(found, 0, score_threshold, self.config.metric)
                return self._hits(points, found, 0, True, with_vector, self.config.metric)

            return self._grouped(points, (path, limit, group_size), asked, find, with_payload)

    def search_mmr(
        self,
        query: object,
        k: int = 10,
        *,
        diversity: float = 0.5,
        candidates: int = 100,
        recall: float | None = None,
        filter: object = None,
        with_payload: bool = True,
        with_vector: Wanted = False,
        score_threshold: float | None = None,
        using: str | None = None,
    ) -> Hits:
        """k points near the query and unlike one another (maximal marginal relevance), in the order they were chosen.

        diversity: 0 takes the nearest, 1 the most different, of so many nearest candidates. Scores are those of search.
        """
        share: object = diversity
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise InputError(f"diversity must lie between 0 and 1, not {diversity!r}")
        asked, vector = None if filter is None else parse_filter(filter), query
        self._guard_vector(using)
        with Moment(self._blocks, self._points) as (blocks, points):
            snapshot = self._snapshot(points, blocks)
            if is_id(query):
                vector, asked = self._by_id(snapshot, query, asked)
            terms = (max(check_k(k), check_k(candidates, "candidates")), recall, None, None)
            found = self._found(snapshot, self._one_query(vector), True, asked, False, 0, terms)
            found = trimmed(found, 0, score_threshold, self.config.metric)
            chosen = self._diverse(snapshot, found, k, float(share))
            return self._hits(points, chosen, 0, with_payload, with_vector, self.config.metric)

    def recommend(
        self,
        positive: Sequence[object] | np.ndarray = (),
        negative: Sequence[object] | np.ndarray = (),
        k: int = 10,
        *,
        strategy: Literal["average_vector", "best_score"] = "average_vector",
        recall: float | None = None,
        filter: object = None,
        exact: bool = False,
        with_payload: bool = True,
        with_vector: Wanted = False,
        offset: int = 0,
        score_threshold: float | None = None,
        using: str | None = None,
    ) -> Hits:
        """Points like the positive examples and unlike the negative ones; an example is an id or a vector.

        average_vector: nearest to the mean of the positive ones, moved away from the mean of the negative; scores are
        those of search. best_score: a point nearest to a positive example scores above 0, the more the nearer, one
        nearest to a negative below 0. Examples given by id are not recommended. Raises PointNotFoundError, InputError.
        """
        if strategy not in ("average_vector", "best_score"):
            raise InputError(f"strategy={strategy!r} is not one of average_vector, best_score")
        if not len(positive) and (strategy == "average_vector" or not len(negative)):
            raise InputError(f"recommend by {strategy} needs an example{' that is positive' if len(negative) else ''}")
        self._guard_vector(using)
        for given in (positive, negative):
            if isinstance(given, str | bytes):
                raise InputError(f"examples are a list of ids and vectors, not {type(given).__name__}")
        ids = [each for each in (*positive, *negative) if is_id(each)]
        asked = but_not(None if filter is None else parse_filter(filter), ids)
        terms = (check_depth(check_k(k), check_offset(offset)), recall, None, None)
        with Moment(self._blocks, self._points) as (blocks, points):
            snapshot = self._snapshot(points, blocks)
            examples = self._examples(snapshot, positive), self._examples(snapshot, negative)
            metric = self.config.metric
            if strategy == "average_vector":
                target = prepare(averaged(*examples), self.config.dim, metric)
                found = self._found(snapshot, target, True, asked, exact, 0, terms)
            else:
                found, metric = self._best_scored(snapshot, examples, asked, exact, terms), "dot"
            found = trimmed(found, offset, score_threshold, metric)
            return self._hits(points, found, 0, with_payload, with_vector, metric)

    # -- how

    def _diverse(self, snapshot: Snapshot, found: Found, k: int, diversity: float) -> Found:
        """k of the answers to one query, chosen by maximal marginal relevance."""
        answers = found.answers[0]
        there = answers[answers["value"] > -np.inf]
        vectors = self._vectors_of(snapshot.points, there["row"])
        chosen = choose(there["value"], vectors, self.config.metric, k, diversity)
        return Found(np.ascontiguousarray(found.words[:, chosen]), len(chosen), found.every)

    def _best_scored(
        self, snapshot: Snapshot, examples: tuple[np.ndarray, np.ndarray], asked: Filter, exact: bool, terms: Terms
    ) -> Found:
        """The points of the best scores by several examples; values are the scores."""
        selection = self._selector.select(snapshot.points, asked)
        if self.config.source is None and snapshot.points.forgotten_rows:
            raise InputError("best_score compares source vectors, which source=None does not keep")

        def find(query: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
            answers = self._found(snapshot, query, True, asked, exact, 0, (depth, *terms[1:])).answers[0]
            there = answers[answers["value"] > -np.inf]
            return there["value"], there["row"]

        values, rows = best_scored(snapshot, selection.array, *examples, terms[0], find)
        if not len(rows):
            values, rows = np.full(1, -np.inf, np.float32), np.zeros(1, np.uint32)
        return answered(snapshot.points, values[None].astype(np.float32), rows[None].astype(np.uint32))

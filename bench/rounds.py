"""The measurement: build everything, then rounds in which every setting of every engine has its turn."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.conductor import Desk, Hall, Report, Skip, WorkerError
from bench.data import Dataset, distances_of
from bench.engines.base import Arguments, Spec
from bench.frontier import worth_repeating
from bench.recall import recalls

SCOUT_QUERIES = 200
"""Before the rounds every setting is asked so many queries, to see which can be on its family's frontier at all."""
SCOUT_SLACK = 1.35
"""A setting stays while no other of its family, as good in recall, is so much faster: after scouting …"""
ROUND_SLACK = 1.15
"""… and after the first round."""
BATCH_SLACK = 1.10
"""The same for the settings that batches are measured with."""
BATCH_ROUNDS = 4
"""Rounds of batches for each of single queries: a batch is over in hundredths of a second."""
_BATCH_RECALL = 0.85  # batches are measured where people use them
ASKED_FAMILY = "pqdb"
"""Settings of this family are promises, not trials: all of them are measured to the end."""


@dataclass
class Trial:
    """One setting of one index and all that was measured of it."""

    spec: Spec
    setting: Arguments
    scouted: tuple[float, float] = (0.0, 0.0)  # recall and rate over the scouting queries
    recall: float = 0.0
    recall_strict: float = 0.0
    times: list[npt.NDArray[np.float64]] = field(default_factory=list)  # (q,) seconds, one a round
    batch_seconds: list[float] = field(default_factory=list)
    cpu_share: list[float] = field(default_factory=list)
    ids: npt.NDArray[np.int64] | None = None  # (q, k) of the first round

    @property
    def single_qps(self) -> list[float]:
        return [len(times) / float(times.sum()) for times in self.times]

    @property
    def batch_qps(self) -> list[float]:
        queries = 0 if self.ids is None else len(self.ids)
        return [queries / seconds for seconds in self.batch_seconds]

    @property
    def qps(self) -> float:
        return float(np.median(self.single_qps))

    @property
    def reached(self) -> tuple[float, float]:
        """Recall and rate, by what is known so far."""
        return (self.recall, self.qps) if self.times else self.scouted


@dataclass(frozen=True)
class Plan:
    """How a run is done."""

    cores: Sequence[int]  # all that batches and builds may use; single queries run on the last
    k: int = 10
    rounds: int = 5
    batch: bool = True
    sites: dict[str, Path] = field(default_factory=dict)  # engine → folder of its packages
    seed: int = 1


@dataclass
class Outcome:
    """Everything a run has to tell."""

    trials: list[Trial] = field(default_factory=list)
    dropped: list[Trial] = field(default_factory=list)  # by scouting
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by spec label
    skips: list[Skip] = field(default_factory=list)


class Run:
    """One data set, one plan, one hall of workers."""

    def __init__(self, data: Dataset, plan: Plan, hall: Hall, say: Callable[[str], None]) -> None:
        self._data, self._plan, self._hall, self._say = data, plan, hall, say
        self._desks: dict[str, Desk] = {}
        self._outcome = Outcome()

    def measure(self, specs: Sequence[Spec]) -> Outcome:
        """Build every spec, then measure single queries on one core and batches on all of the plan's."""
        for spec in specs:
            desk = self._build(spec, threads_at_start=1)
            if desk is not None:
                self._desks[spec.label] = desk
                self._outcome.facts[spec.label] = desk.facts
                self._say(f"  built {spec.family} {spec.label} in {desk.facts['build seconds']:.1f} s")
        trials = [Trial(desk.spec, setting) for desk in self._desks.values() for setting in desk.spec.settings]
        self._single_rounds(trials)
        self._outcome.trials = [trial for trial in trials if trial.times]
        self._outcome.dropped = [trial for trial in trials if not trial.times]
        if self._plan.batch:
            self._batch_rounds(self._outcome.trials)
        return self._outcome

    def _build(self, spec: Spec, threads_at_start: int) -> Desk | None:
        """A desk whose index is built. What cannot be built is told and noted, and the run goes on."""
        desk = self._hall.start(spec, threads=threads_at_start, site=self._plan.sites.get(spec.engine))
        try:
            facts = desk.ask("build", spec, self._data.path, len(self._data.test), len(self._plan.cores))
        except WorkerError as error:
            facts = Skip(spec.label, str(error))
        if isinstance(facts, Skip):
            self._hall.dismiss(desk)
            self._skip(facts)
            return None
        desk.facts = facts
        return desk

    def _single_rounds(self, trials: Sequence[Trial]) -> None:
        for desk in self._desks.values():
            desk.ask("settle", [self._plan.cores[-1]], 1)
        rng = random.Random(self._plan.seed)
        order = self._scouted(trials)
        for number in range(self._plan.rounds):
            rng.shuffle(order)
            for trial in order:
                self._single(trial)
            if number == 0:
                order = pruned([trial for trial in order if trial.times], ROUND_SLACK)
            self._say(f"  round {number + 1} of {self._plan.rounds} done; {len(order)} settings stay")

    def _scouted(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials that a few queries do not rule out."""
        for trial in trials:
            report = self._ask("single", trial, SCOUT_QUERIES)
            if report is not None:
                recall, _ = self._recall(report["ids"])
                trial.scouted = recall, len(report["times"]) / float(report["times"].sum())
        kept = pruned([trial for trial in trials if trial.scouted[1] > 0], SCOUT_SLACK)
        self._say(f"  scouted {len(trials)} settings; {len(kept)} stay")
        return kept

    def _recall(self, ids: npt.NDArray[np.int64]) -> tuple[float, float]:
        """Mean recall, ann-benchmarks' and strict, of answers to the first len(ids) queries."""
        data, count = self._data, len(ids)
        found = distances_of(data.train, data.test[:count], ids, data.metric)
        loose, strict = recalls(ids, found, data.distances[:count], self._plan.k)
        return float(loose.mean()), float(strict.mean())

    def _single(self, trial: Trial) -> None:
        report = self._ask("single", trial)
        if report is None:
            return
        trial.times.append(report["times"])
        trial.cpu_share.append(report["cpu share"])
        if trial.ids is None:
            trial.ids = report["ids"]
            trial.recall, trial.recall_strict = self._recall(report["ids"])

    def _batch_rounds(self, trials: Sequence[Trial]) -> None:
        order = [trial for trial in pruned(trials, BATCH_SLACK) if trial.recall >= _BATCH_RECALL]
        for spec in {trial.spec.label: trial.spec for trial in order}.values():
            self._settle_for_batches(spec)
        rng = random.Random(self._plan.seed)
        rounds = BATCH_ROUNDS * self._plan.rounds
        for number in range(rounds):
            rng.shuffle(order)
            for trial in order:
                report = self._ask("batch", trial)
                if report is not None:
                    trial.batch_seconds.append(report["seconds"])
            self._say(f"  batch round {number + 1} of {rounds} done; {len(order)} settings")

    def _settle_for_batches(self, spec: Spec) -> None:
        cores = list(self._plan.cores)
        if spec.threads_at_start:
            rebuilt = self._build(spec, threads_at_start=len(cores))
            if rebuilt is None:
                return
            self._hall.dismiss(self._desks[spec.label])
            self._desks[spec.label] = rebuilt
        self._desks[spec.label].ask("settle", cores, len(cores))

    def _ask(self, order: str, trial: Trial, *more: object) -> Report:
        """One pass, or None (told once) when the engine failed on this setting."""
        try:
            return self._desks[trial.spec.label].ask(order, trial.setting, self._plan.k, *more)
        except WorkerError as error:
            self._skip(Skip(trial.spec.label, f"{order} {dict(trial.setting)}: {error}"))
            return None

    def _skip(self, skip: Skip) -> None:
        if skip not in self._outcome.skips:
            self._outcome.skips.append(skip)
            self._say(f"  SKIPPED {skip.label}: {skip.reason}")


def pruned(trials: Sequence[Trial], slack: float) -> list[Trial]:
    """Drop what is far from its family's frontier."""
    kept: list[Trial] = []
    for family in dict.fromkeys(trial.spec.family for trial in trials):
        members = [trial for trial in trials if trial.spec.family == family]
        if family == ASKED_FAMILY:
            kept += members
        else:
            kept += [members[i] for i in worth_repeating([trial.reached for trial in members], slack)]
    return kept

"""The measurement: build everything, then rounds in which every setting of every engine has its turn."""

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.conductor import Desk, Hall, Skip, WorkerError
from bench.data import Dataset, distances_of
from bench.engines.base import Arguments, Spec
from bench.frontier import worth_repeating
from bench.recall import recalls

Say = Callable[[str], None]
SCOUT_SLACK = 1.25
"""After the first round a setting stays only if no setting of its family, as good in recall, is 1.25 times as fast."""
BATCH_SLACK = 1.10
_BATCH_RECALL = 0.85  # batches are measured where people use them


@dataclass
class Trial:
    """One setting of one index and all that was measured of it."""

    spec: Spec
    setting: Arguments
    recall: float = 0.0
    recall_strict: float = 0.0
    times: list[npt.NDArray[np.float64]] = field(
        default_factory=list
    )  # a round each: seconds of each query (q,)
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


@dataclass(frozen=True)
class Plan:
    """How a run is done."""

    k: int = 10
    rounds: int = 5
    batch: bool = True
    build_threads: int = 2
    core: int | None = None  # of the single-query mode; None takes the last usable one
    sites: dict[str, Path] = field(default_factory=dict)
    seed: int = 1


@dataclass
class Outcome:
    """Everything a run has to tell."""

    trials: list[Trial]
    facts: dict[str, dict[str, Any]]  # by spec label
    skips: list[Skip]


def run(
    specs: Sequence[Spec], data: Dataset, plan: Plan, hall: Hall, cores: Sequence[int], say: Say
) -> Outcome:
    """Build every spec, then measure single queries on one core and batches on all of `cores`."""
    found, skips = _build_all(specs, data, plan, hall, cores, say)
    trials = [Trial(desk.spec, setting) for desk in found for setting in desk.spec.settings]
    by_spec = {id(desk.spec): desk for desk in found}
    _single_rounds(trials, by_spec, data, plan, cores, skips, say)
    trials = [trial for trial in trials if trial.times]
    if plan.batch:
        _batch_rounds(trials, by_spec, data, plan, hall, cores, skips, say)
    return Outcome(trials, {desk.spec.label: desk.facts for desk in found}, skips)


def _build_all(
    specs: Sequence[Spec], data: Dataset, plan: Plan, hall: Hall, cores: Sequence[int], say: Say
) -> tuple[list[Desk], list[Skip]]:
    found: list[Desk] = []
    skips: list[Skip] = []
    for spec in specs:
        outcome = _build(spec, data, plan, hall, plan.build_threads)
        if isinstance(outcome, Skip):
            say(f"  skipped {outcome.label}: {outcome.reason}")
            skips.append(outcome)
            continue
        say(f"  built {spec.family} {spec.label} in {outcome.facts['build seconds']:.1f} s")
        found.append(outcome)
    return found, skips


def _build(spec: Spec, data: Dataset, plan: Plan, hall: Hall, threads: int) -> Desk | Skip:
    """A desk whose index is built, or why there is none. Failures are told, and the run goes on."""
    desk = hall.start(spec, threads=threads if spec.threads_at_start else 1, site=plan.sites.get(spec.engine))
    try:
        facts = desk.ask("build", spec, data.path, len(data.test), threads)
    except WorkerError as error:
        hall.dismiss(desk)
        return Skip(spec.label, f"failed: {error}")
    if isinstance(facts, Skip):
        hall.dismiss(desk)
        return facts
    desk.facts = facts
    return desk


def _single_rounds(
    trials: Sequence[Trial],
    desks: dict[int, Desk],
    data: Dataset,
    plan: Plan,
    cores: Sequence[int],
    skips: list[Skip],
    say: Say,
) -> None:
    core = cores[-1] if plan.core is None else plan.core
    for desk in desks.values():
        desk.ask("settle", [core], 1)
    order, rng = list(trials), random.Random(plan.seed)
    for number in range(plan.rounds):
        rng.shuffle(order)
        for trial in order:
            report = _ask(desks[id(trial.spec)], "single", trial, plan, skips)
            if report is None:
                continue
            trial.times.append(report["times"])
            trial.cpu_share.append(report["cpu share"])
            if number == 0:
                _take_recall(trial, report["ids"], data, plan.k)
        if number == 0:
            order = _prune(order, SCOUT_SLACK)
        say(f"  round {number + 1} of {plan.rounds}: {len(order)} settings")


def _ask(desk: Desk, order: str, trial: Trial, plan: Plan, skips: list[Skip]) -> Any:
    """One pass, or None (told once) when the engine failed on this setting."""
    try:
        return desk.ask(order, trial.setting, plan.k)
    except WorkerError as error:
        skip = Skip(trial.spec.label, f"{order} {dict(trial.setting)} failed: {error}")
        if skip not in skips:
            skips.append(skip)
            print(f"  {skip.label}: {skip.reason}", file=sys.stderr)
        return None


def _take_recall(trial: Trial, ids: npt.NDArray[np.int64], data: Dataset, k: int) -> None:
    loose, strict = recalls(ids, distances_of(data.train, data.test, ids, data.metric), data.distances, k)
    trial.ids, trial.recall, trial.recall_strict = ids, float(loose.mean()), float(strict.mean())


def _prune(trials: Sequence[Trial], slack: float) -> list[Trial]:
    """Drop what is far from its family's frontier. A family that is asked for its recall keeps every question."""
    kept: list[Trial] = []
    for family in dict.fromkeys(trial.spec.family for trial in trials):
        members = [trial for trial in trials if trial.spec.family == family and trial.times]
        if family == "pqdb":
            kept += members
            continue
        kept += [members[i] for i in worth_repeating([(trial.recall, trial.qps) for trial in members], slack)]
    return kept


def _batch_rounds(
    trials: Sequence[Trial],
    desks: dict[int, Desk],
    data: Dataset,
    plan: Plan,
    hall: Hall,
    cores: Sequence[int],
    skips: list[Skip],
    say: Say,
) -> None:
    useful = [
        trial for trial in _prune(trials, BATCH_SLACK) if trial.recall >= _BATCH_RECALL and trial.spec.batch
    ]
    for spec in {id(trial.spec): trial.spec for trial in useful}.values():
        if spec.threads_at_start:
            outcome = _build(spec, data, plan, hall, len(cores))
            if isinstance(outcome, Skip):
                skips.append(outcome)
                continue
            desks[id(spec)] = outcome
        desks[id(spec)].ask("settle", list(cores), len(cores))
    order, rng = list(useful), random.Random(plan.seed)
    for number in range(plan.rounds):
        rng.shuffle(order)
        for trial in order:
            report = _ask(desks[id(trial.spec)], "batch", trial, plan, skips)
            if report is not None:
                trial.batch_seconds.append(report["seconds"])
        say(f"  batch round {number + 1} of {plan.rounds}: {len(order)} settings")

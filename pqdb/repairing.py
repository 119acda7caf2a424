"""Healing what can be healed: an index is built again from its points; damaged points are refused, and saved if asked.

The truth is never changed: a collection whose points are damaged stays as it is, byte for byte. Nobody else may have
the database open meanwhile.
"""

import json
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pqdb.checking import CATALOG, INDEX, POINTS, CheckReport, check
from pqdb.config import CollectionConfig, NamedConfig, SparseConfig, VectorConfig, config_from_dict
from pqdb.database import open_database
from pqdb.errors import CorruptError, LockedError
from pqdb.quantization.source import decode_source
from pqdb.sparse import SparseVector
from pqdb.store.blocks import BlockStore
from pqdb.store.catalog import Catalog
from pqdb.store.environment import user_of
from pqdb.store.layout import UNNAMED_SLOT
from pqdb.store.points import PointStore
from pqdb.store.salvage import PointSalvage, SalvagedPoint, is_key, salvaged_records
from pqdb.upkeep.train import Progress

DAMAGED = ".damaged"  # behind the name of what was put aside


@dataclass
class RepairReport:
    """What was wrong and what became of it."""

    found: CheckReport
    done: list[str] = field(default_factory=list)
    """What was healed, a sentence each."""
    refused: list[str] = field(default_factory=list)
    """What could not be, and what can still be read of it."""


def repair(
    path: str | os.PathLike[str],
    *,
    save: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> RepairReport:
    """Check a database and heal what can be healed: indexes are built again from their points, a damaged catalog from
    what it still tells, and folders that a cut-off create or drop left behind are removed.

    Points that are damaged are not touched. With `save`, a folder, all that can be read of them is written there as
    JSON lines, one file a collection, which `pqdb import` takes. Raises LockedError where somebody has the database
    open, CorruptError, NotADatabaseError, StorageError and kin.
    """
    folder = Path(path)
    _refuse_in_use(folder)
    report = RepairReport(check(folder))
    if report.found.catalog:
        _rebuild_catalog(folder, report)
    names = {name: str(record["uuid"]) for name, record in _names(folder).items()}
    for name, findings in report.found.collections.items():
        if any(problem.startswith(f"{POINTS}: ") for problem in findings.problems):
            _refuse_points(folder / names[name], name, None if save is None else Path(save), report)
        elif findings.problems:
            _rebuild_indexes(folder, name, names[name], findings.problems, report, progress)
    if not report.found.catalog:
        for leftover in report.found.leftovers:
            shutil.rmtree(folder / leftover)
            report.done.append(f"{leftover}, which no collection led to, is removed")
    return report


def _refuse_in_use(folder: Path) -> None:
    for file in folder.glob("**/data.mdb"):
        holder = user_of(file.parent)
        if holder is not None:
            raise LockedError(f"{file.parent} is open in process {holder}: a repair needs the database for itself")


def _names(folder: Path) -> dict[str, Any]:
    with Catalog.open(folder / CATALOG, readonly=True) as catalog:
        return dict(catalog.names().collections)


# -- the catalog


def _rebuild_catalog(folder: Path, report: RepairReport) -> None:
    """A new catalog of the names that the old one still tells; folders nobody names any more get a name of ours."""
    records = salvaged_records(folder / CATALOG)
    known = {record["uuid"]: name for name, record in records.items()}
    keys = sorted(each.name for each in folder.iterdir() if is_key(each.name) and (each / POINTS).is_dir())
    aside = _put_aside(folder / CATALOG)
    try:
        with Catalog.create(folder / CATALOG) as catalog, catalog.write() as batch:
            for key in keys:
                name = known.get(key, f"recovered-{key[:8]}")
                batch.add(name, records.get(name, {"uuid": key}))  # with the metadata it was given
    except BaseException:
        shutil.rmtree(folder / CATALOG, ignore_errors=True)
        aside.rename(folder / CATALOG)
        raise
    told = [known.get(key, f"recovered-{key[:8]}") for key in keys]
    report.done.append(
        f"the catalog is built again, of {len(keys)} collections ({', '.join(told)}) and no aliases; the old one is "
        f"kept as {aside.name}"
    )
    again = check(folder)
    report.found.collections = again.collections
    report.found.leftovers = again.leftovers


def _put_aside(folder: Path) -> Path:
    """Rename what is damaged, in place of what was put aside before."""
    aside = folder.with_name(folder.name + DAMAGED)
    shutil.rmtree(aside, ignore_errors=True)
    return folder.rename(aside)


# -- the index


def _rebuild_indexes(
    folder: Path, name: str, key: str, problems: list[str], report: RepairReport, progress: Progress | None
) -> None:
    """An empty index in place of each damaged one, filled from the points."""
    with PointStore.open(folder / key / POINTS, readonly=True) as points, points.read() as view:
        if view.forgotten_rows:
            report.refused.append(
                f"{name}: its index is damaged and cannot be built again, for source=None keeps no vectors: "
                f"{view.forgotten_rows:,} of its {view.n_rows:,} rows were codes only; ids and payloads are whole"
            )
            return
        n_points = view.n_live
    damaged = sorted({problem.partition(": ")[0] for problem in problems})
    asides = []
    for part in damaged:
        home = folder / key / part
        aside = _put_aside(home) if home.exists() else None
        try:
            BlockStore.create(home).close()
        except BaseException:
            if aside is not None:
                aside.rename(home)
            raise
        if aside is not None:
            asides.append(aside)
    with open_database(folder, upkeep="manual") as database:
        database[name].optimize(progress)
    for aside in asides:
        shutil.rmtree(aside)
    for part in damaged:
        which = "its index" if part == INDEX else f"its {part}"
        report.done.append(f"{name}: {which} is built again from its {n_points:,} points")


# -- the points


def _refuse_points(folder: Path, name: str, save: Path | None, report: RepairReport) -> None:
    """Say what can still be read of damaged points, and write it where it shall be saved."""
    try:
        with PointSalvage(folder / POINTS) as salvage:
            written, without_payload, where = _save(salvage, name, save)
            lost, unknown = len(salvage.lost), salvage.unknown
    except CorruptError as error:
        report.refused.append(f"{name}: its points are damaged; {error}")
        return
    sentence = f"{name}: its points are damaged; {written:,} can be read whole"
    if without_payload:
        sentence += f" ({without_payload:,} of them without their payload)"
    sentence += f", {lost:,} not"
    if unknown:
        sentence += f", and of {unknown:,} not even the id"
    report.refused.append(sentence + (f"; they are saved in {where}" if where else "; save= writes them to a folder"))


def _save(salvage: PointSalvage, name: str, save: Path | None) -> tuple[int, int, Path | None]:
    """(points that can be read, how many of them lack their payload, the file they are in)."""
    config = config_from_dict(salvage.manifest["config"])
    where = None if save is None else save / f"{name}.jsonl"
    written = without_payload = 0
    with ExitStack() as files:
        file = None
        if where is not None:
            where.parent.mkdir(parents=True, exist_ok=True)
            file = files.enter_context(where.open("w", encoding="utf-8"))
        for point in salvage.points():
            if file is not None:
                file.write(_line(point, config) + "\n")
            written += 1
            without_payload += point.payload_lost
    return written, without_payload, where


def _line(point: SalvagedPoint, config: CollectionConfig | NamedConfig) -> str:
    """A point as `pqdb import` takes it; without a vector where none is kept."""
    record: dict[str, Any] = {"id": point.id}
    if isinstance(config, NamedConfig):
        configs: dict[str, VectorConfig | SparseConfig] = {**config.vectors, **config.sparse}
        of_slot = dict(enumerate(configs, 1))
        held = {of_slot[slot]: source for slot, source in point.sources.items()}
        record["vector"] = {name: _shown(source, configs[name]) for name, source in held.items()}
    elif UNNAMED_SLOT in point.sources:
        record["vector"] = _numbers(point.sources[UNNAMED_SLOT], config)
    record["payload"] = None if point.payload is None else json.loads(point.payload)
    return json.dumps(record, ensure_ascii=False)


def _shown(source: np.ndarray, config: VectorConfig | SparseConfig) -> Any:
    if isinstance(config, SparseConfig):
        return SparseVector.from_bytes(source.tobytes()).to_dict()
    return _numbers(source, config)


def _numbers(source: np.ndarray, config: CollectionConfig) -> list[float]:
    numbers: list[float] = decode_source(source[None, :], config.dim, config.kept_source)[0].tolist()
    return numbers

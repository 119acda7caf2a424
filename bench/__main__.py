"""`python -m bench DATA.hdf5 …`: every engine side by side on the same queries; tables, plots."""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench import machine, plots, report, results
from bench.conductor import Hall
from bench.data import carried, load, synthetic
from bench.engines import DEFAULT, module_of
from bench.engines.base import Effort, Spec, Sweep
from bench.rounds import Plan, Run

_HERE = Path(__file__).resolve().parent
_ROUNDS: dict[Effort, int] = {"quick": 3, "standard": 7, "full": 3}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run once for each data set given; without one, on a set made here."""
    parser = _parser()
    options = parser.parse_args(arguments)
    effort: Effort = "full" if options.full else "quick" if options.quick else "standard"
    cores = sorted(os.sched_getaffinity(0))[: options.cores]
    if options.avx2:
        options.engines = [engine for engine in options.engines if engine in _HELD_TO_AVX2]
        if not options.engines:
            parser.error(f"--avx2 can hold {' and '.join(_HELD_TO_AVX2)}, and none of them was asked for")
        os.environ.update(_HELD_TO_AVX2[engine] for engine in options.engines)
    for path in [_there(path, options.out) for path in options.data or [None]]:
        wide = carried(path, options.dim, options.out / "data") if options.dim else path
        _bench(wide, options, effort, cores)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("data", nargs="*", type=Path, help="ann-benchmarks HDF5 files; none: a clustered set is made")
    parser.add_argument("--engines", nargs="+", default=list(DEFAULT), help=f"default: {' '.join(DEFAULT)}")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true", help="fewer indexes, settings and rounds")
    effort.add_argument("--full", action="store_true", help="the whole sweep the standard list was chosen from")
    parser.add_argument("--rounds", type=int, help="rounds of every setting; 7, or 3 with --quick and --full")
    parser.add_argument("--queries", type=int, help="only so many of the file's queries")
    parser.add_argument("--dim", type=int, help="carry vectors to so many dimensions first")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--cores", type=int, default=2, help="cores of the batch mode (default 2)")
    parser.add_argument("--no-batch", action="store_true", help="single queries only")
    parser.add_argument("--avx2", action="store_true", help=_AVX2_HELP)
    parser.add_argument("--site", action="append", default=[], metavar="ENGINE=FOLDER", help=_SITE_HELP)
    parser.add_argument("--out", type=Path, default=_HERE / "results", help="where runs are kept")
    parser.add_argument("--publish", metavar="NAME", help="also write NAME-<data>.{json,md,png} to bench/published")
    return parser


# What tells an engine to use no wider instructions than these; an engine without such a word cannot take part.
_HELD_TO_AVX2 = {"pqdb": ("PQDB_KERNEL", "avx2"), "faiss": ("FAISS_SIMD_LEVEL", "AVX2")}
_AVX2_HELP = f"hold the engines to AVX2 where the processor has more; only {' and '.join(_HELD_TO_AVX2)} can be held"
_SITE_HELP = "look for this engine's packages in FOLDER first (scann and scann-core cannot share one environment)"


def _there(path: Path | None, out: Path) -> Path:
    """The data set asked for, or, said aloud, one made here."""
    if path is not None and path.exists():
        return path
    if path is not None:
        print(f"{path} is not there: measuring on a clustered set made here instead")
    return synthetic(out / "data")


def _bench(path: Path, options: argparse.Namespace, effort: Effort, cores: Sequence[int]) -> None:
    card = machine.card()  # first, so that its load is not our own
    data = load(path, queries=options.queries)
    print(f"{data.name}: {data.n:,} x {data.dim}, {data.metric}")
    plan = Plan(
        k=options.k,
        rounds=options.rounds or _ROUNDS[effort],
        batch=not options.no_batch,
        cores=cores,
        sites={name: Path(folder) for name, _, folder in (site.partition("=") for site in options.site)},
    )
    specs: list[Spec] = []
    for engine in options.engines:
        specs += module_of(engine).specs(Sweep(engine, data.n, data.dim, data.metric, effort))
    with Hall() as hall:
        outcome = Run(data, plan, hall, partial(print, flush=True)).measure(specs)
    doc = results.document(outcome, data, plan, card)
    kept = results.write(options.out, doc, outcome)
    _tell(doc, kept.parent, kept.stem)
    if options.publish:
        _tell(doc, _HERE / "published", f"{options.publish}-{data.name}", publish=True)


def _tell(doc: results.Document, folder: Path, stem: str, *, publish: bool = False) -> None:
    """Table to the terminal and to a file, plots beside it; a published run takes its JSON along."""
    folder.mkdir(parents=True, exist_ok=True)
    text = report.markdown(doc)
    (folder / f"{stem}.md").write_text(text)
    made = plots.draw(doc, folder, stem)
    if publish:
        results.write_json(folder / f"{stem}.json", doc)
    else:
        print(f"\n{text}")
    print("\n".join(str(path) for path in (folder / f"{stem}.md", *made)))


if __name__ == "__main__":
    main()

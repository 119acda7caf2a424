"""Two pictures of a run: rate over recall, and bytes over recall."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from bench.frontier import Point, frontier
from bench.results import Document, best_recalls, points

# Okabe and Ito's colours, told apart by every kind of colour vision; markers and dashes say it a second time.
LOOKS = {
    "pqdb": ("#0072B2", "o", "-"),
    "pqdb by hand": ("#56B4E9", "o", ":"),
    "FAISS": ("#D55E00", "s", "-"),
    "ScaNN": ("#009E73", "^", "-"),
    "hnswlib": ("#CC79A7", "D", "--"),
    "turbovec": ("#E69F00", "P", "-"),
    "exact": ("#000000", "X", "-"),
}
_OTHER = ("#777777", "v", "-")
_LOW = 0.80  # recalls below are nobody's setting


def draw(doc: Document, folder: Path, stem: str) -> list[Path]:
    """Draw what the run holds; paths of the PNGs."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [_draw_rates(doc, points(doc), folder / f"{stem}-qps.png", "one query a call, one core")]
    batched = points(doc, batch=True)
    if batched:
        made.append(_draw_rates(doc, batched, folder / f"{stem}-batch.png", "one batch of all queries, all cores"))
    made.append(_draw_bytes(doc, points(doc), folder / f"{stem}-bytes.png"))
    return made


def _families(found: Sequence[Point]) -> list[str]:
    present = {point.family for point in found}
    return [family for family in LOOKS if family in present] + sorted(present - set(LOOKS))


def _draw_rates(doc: Document, found: Sequence[Point], path: Path, mode: str) -> Path:
    figure, axes = plt.subplots(figsize=(8, 5.2), layout="constrained")
    for family in _families(found):
        line = [p for p in frontier(p for p in found if p.family == family) if p.recall >= _LOW]
        colour, marker, dash = LOOKS.get(family, _OTHER)
        axes.plot(
            [_stretch(p.recall) for p in line],
            [p.qps for p in line],
            color=colour,
            marker=marker,
            linestyle=dash,
            markersize=5,
            label=family,
        )
    axes.set_yscale("log")
    axes.set_ylabel("queries per second (log)")
    _recall_axis(doc, axes)
    _title(doc, axes, mode)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path


def _stretch(recall: float) -> float:
    """Recall by its misses, on a log scale: 0.9 → 0.99 is as wide as 0.99 → 0.999; 1.0 stands at the edge."""
    return -math.log10(max(1.0 - recall, 10**-3.2))


def _recall_axis(doc: Document, axes: Axes) -> None:
    ticks = (0.80, 0.90, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
    axes.xaxis.set_major_locator(FixedLocator([_stretch(tick) for tick in ticks]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{1 - 10**-x:.3f}".rstrip("0")))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(_stretch(_LOW), _stretch(1.0) + 0.03)
    axes.set_xlabel(f"recall@{doc['plan']['k']} (scale stretched towards 1)")
    axes.grid(which="both", color="#dddddd", linewidth=0.6)


def _title(doc: Document, axes: Axes, mode: str) -> None:
    data = doc["data"]
    axes.set_title(f"{data['name']} ({data['n']:,} × {data['dim']}, {data['metric']}): {mode}", fontsize=11, loc="left")
    axes.text(
        1.0,
        -0.16,
        machine_line(doc["machine"]),
        transform=axes.transAxes,
        ha="right",
        fontsize=7,
        color="#555555",
    )


def machine_line(card: dict[str, Any]) -> str:
    """What a picture says of the machine it was measured on."""
    wide = "AVX-512" if any(flag.startswith("avx512") for flag in card["flags"]) else "AVX2 or less"
    if card["kernel forced"]:
        wide += f", held to {card['kernel forced']}"
    return f"{card['cpu']}, {wide}; {card['date']}"


def _draw_bytes(doc: Document, found: Sequence[Point], path: Path) -> Path:
    """For each index: the highest recall it reached, over the bytes it holds and the bytes it scans."""
    figure, axes = plt.subplots(figsize=(8, 5.2), layout="constrained")
    reached = best_recalls(doc)
    for family in _families(found):
        # One point an index; which of its settings stands for it does not matter, its bytes are the same.
        tops = list({p.label: p for p in found if p.family == family}.values())
        colour, marker, _ = LOOKS.get(family, _OTHER)
        heights = [_stretch(reached[p.label]) for p in tops]
        axes.scatter([p.bytes_held for p in tops], heights, color=colour, marker=marker, s=45, label=f"{family}: held")
        axes.scatter([p.bytes_scan for p in tops], heights, facecolors="none", edgecolors=colour, marker=marker, s=45)
        for point, height in zip(tops, heights, strict=True):
            axes.plot([point.bytes_scan, point.bytes_held], [height, height], color=colour, linewidth=0.8, alpha=0.6)
    full = 4 * doc["data"]["dim"]
    axes.axvline(full, color="#555555", linestyle=":", linewidth=1)
    axes.text(full, 0.97, " float32", transform=axes.get_xaxis_transform(), fontsize=8, color="#555555")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("bytes a vector (open: scanned, filled: held with the rerank rows; log)")
    axes.set_ylabel(f"best recall@{doc['plan']['k']} of its settings")
    ticks = (0.80, 0.90, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
    axes.set_yticks([_stretch(tick) for tick in ticks], [str(tick) for tick in ticks])
    axes.grid(color="#dddddd", linewidth=0.6)
    _title(doc, axes, "bytes and recall")
    figure.legend(frameon=False, loc="outside right upper", fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path


def draw_codes(doc: Document, path: Path) -> Path:
    """Recall of each kind of code over the bytes that are scanned: a line by the candidates it may name (the fewest
    at its foot), all lists probed; a diamond for what it reaches as it is asked, with all its tiers, over the bytes
    held beside the source.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(figsize=(11, 5.6), layout="constrained")
    colours = plt.get_cmap("tab20")
    for number, record in enumerate(doc["kinds"]):
        colour, scanned = colours(number % 20), record["bytes scanned"]
        beside = scanned * (1 + 0.02 * (number % 5 - 2))  # kinds of as many bytes stand beside one another
        heights = [_stretch(recall) for recall in record["recall by rerank"].values()]
        axes.plot([beside] * len(heights), heights, color=colour, marker="o", markersize=4, linewidth=1)
        axes.plot(
            [beside + record["bytes reranked"]], [_stretch(record["recall"])], color=colour, marker="D", markersize=7,
            linestyle="none", label=record["kind"] + (f": {record['qps']:,.0f}/s" if record["qps"] else ""),
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("bytes a vector, log (dots: scanned; diamonds: scanned and reranked)")
    axes.set_ylim(_stretch(0.5), _stretch(1.0) + 0.03)
    ticks = (0.50, 0.80, 0.90, 0.95, 0.98, 0.99, 0.995, 0.999)
    axes.yaxis.set_major_locator(FixedLocator([_stretch(tick) for tick in ticks]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{1 - 10**-y:.3f}".rstrip("0")))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylabel(f"recall@{doc['k']} (scale stretched towards 1)")
    axes.grid(which="both", color="#dddddd", linewidth=0.6)
    _title(doc, axes, f"codes alone, and asked for {doc['asked']}")
    figure.legend(frameon=False, fontsize=8, loc="outside right upper")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path

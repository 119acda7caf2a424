"""One picture of the story of drift: recall, and the codes a query scans for it, while another kind of data arrives."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

Moments = Sequence[tuple[int, float, float, int]]  # rows there were, recall, codes scanned, generation
_LOOKS = {"with the loop": ("#0072B2", "o", "-"), "without it": ("#D55E00", "s", "--")}


def draw(with_loop: Moments, without: Moments, asked: float, path: Path) -> Path:
    """Recall above, codes below, over the rows there were; dotted lines where a new generation took over."""
    figure, (recalls, codes) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
    for (label, (colour, marker, dash)), moments in zip(_LOOKS.items(), (with_loop, without), strict=True):
        rows, recall, scanned, _ = zip(*moments, strict=True)
        for axes, values in ((recalls, recall), (codes, scanned)):
            axes.plot(rows, values, color=colour, marker=marker, linestyle=dash, markersize=4, label=label)
    recalls.axhspan(asked - 0.02, asked + 0.02, color="#009E73", alpha=0.15, label=f"asked {asked} ± 0.02")
    for axes in (recalls, codes):
        _mark_generations(axes, with_loop)
        axes.grid(color="#dddddd", linewidth=0.6)
    recalls.set_ylabel("recall@10")
    recalls.legend(frameon=False, fontsize=9)
    recalls.set_title("Another kind of data arrives", loc="left", fontsize=11)
    codes.set_yscale("log")
    codes.set_ylabel("codes scanned by a query")
    codes.set_xlabel("points")
    codes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path


def _mark_generations(axes: Axes, moments: Moments) -> None:
    for before, after in pairwise(moments):
        if after[3] != before[3]:
            axes.axvline(after[0], color="#0072B2", linestyle=":", linewidth=1)

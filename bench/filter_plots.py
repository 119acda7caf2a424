"""A picture of filtered search: rate over the share that passes, a panel for each kind of filter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from bench.plots import LOOKS, machine_line

_TITLES = {"random": "at random", "nearest": "the clusters nearest", "farthest": "the clusters farthest"}
_SHORT = 0.01  # of recall: a peer that far below pqdb's is drawn hollow


def draw_filters(found: dict[str, Any], title: str, card: dict[str, Any], path: Path) -> Path:
    """Write the PNG; the path of it."""
    kinds = list(dict.fromkeys(row["filter"] for row in found["rows"]))
    figure, panels = plt.subplots(1, len(kinds), figsize=(12, 4.4), sharey=True, layout="constrained", squeeze=False)
    for axes, kind in zip(panels[0], kinds, strict=True):
        rows = [row for row in found["rows"] if row["filter"] == kind]
        _draw_panel(axes, rows, found["unfiltered us"])
        axes.set_title(_TITLES.get(kind, kind), fontsize=10)
    panels[0][0].set_ylabel("queries per second, one core (log)")
    panels[0][0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"{title}: search with a filter that lets through …", fontsize=11, x=0.01, ha="left")
    figure.supxlabel(f"share of points that pass          {machine_line(card)}", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path


def _draw_panel(axes: Axes, rows: Sequence[dict[str, Any]], unfiltered: float) -> None:
    shares = [row["passes"] for row in rows]
    axes.axhline(1e6 / unfiltered, color="#777777", linewidth=0.8, linestyle=":", label="pqdb without a filter")
    colour, marker, _ = LOOKS["pqdb"]
    axes.plot(shares, [1e6 / row["us"] for row in rows], color=colour, marker=marker, label="pqdb")
    alone = [1e6 / row["one by one us"] for row in rows]
    axes.plot(shares, alone, color="#000000", linewidth=0.8, linestyle="--", label="rows one by one")
    for name in rows[0]["peers"]:
        colour, marker, dash = LOOKS[name]
        rates = [row["peers"][name] for row in rows]
        axes.plot(shares, [1e6 / rate["microseconds"] for rate in rates], color=colour, linestyle=dash, label=name)
        for share, rate, row in zip(shares, rates, rows, strict=True):
            face = colour if rate["recall"] >= row["recall"] - _SHORT else "white"
            axes.plot(share, 1e6 / rate["microseconds"], color=colour, marker=marker, markerfacecolor=face)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(which="major", color="#dddddd", linewidth=0.6)

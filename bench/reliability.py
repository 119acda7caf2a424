"""`python -m bench.reliability`: the figures of the long stories, as the table and the picture of docs/reliability.md.

The stories write them by `make test-long ARGS="--figures bench/published/reliability.json"`, each with the machine's
card. Here they are only put in order: every row of the page is a test and what it measured.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import timeline

_ROOT = Path(__file__).resolve().parent.parent
FIGURES = _ROOT / "bench" / "published" / "reliability.json"
PAGE = _ROOT / "docs" / "reliability.md"
PICTURE = _ROOT / "bench" / "published" / "drift.png"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """One story of the table: what it is called there, its test, and the words that choose it alone."""

    title: str
    test: str
    words: str

    def command(self) -> str:
        """What makes its figures."""
        return f'make test-long ARGS="-k {self.words}"'


_DRIFT = "test_fifty_thousand_rows_then_a_hundred_thousand_others"
_HALVED = "test_fifty_thousand_halved_two_fifths_of_the_bytes_come_back"
_FLIPPED = "test_every_one_of_a_thousand_flips_and_cuts_that_matters_is_named"
_POWER = "test_what_was_acknowledged_outlasts_a_thousand_power_cuts"
_REPLACED = "test_a_million_replacements_of_fifty_thousand_points"
ROWS = (
    Row("Killed at random instants and at named ones", "test_killed_two_thousand_times", "two_thousand_times"),
    Row("Power cuts", _POWER, "thousand_power_cuts"),
    Row("Bits flipped and files cut", _FLIPPED, "thousand_flips_and_cuts"),
    Row("Four processes, every answer checked", "test_four_processes_agree_for_a_minute", "for_a_minute"),
    Row("Half of 50,000 points deleted, 64-d", f"{_HALVED}[64]", "thousand_halved"),
    Row("The same, 384-d", f"{_HALVED}[384]", "thousand_halved"),
    Row("A million replacements of 50,000 points", _REPLACED, "million_replacements"),
    Row("Other data arrive, made ones; upkeep waited for", f"{_DRIFT}[made-waited for]", "hundred_thousand_others"),
    Row("The same in the background", f"{_DRIFT}[made-in the background]", "hundred_thousand_others"),
    Row("Other data arrive, real ones; upkeep waited for", f"{_DRIFT}[real-waited for]", "hundred_thousand_others"),
    Row("The same in the background", f"{_DRIFT}[real-in the background]", "hundred_thousand_others"),
)
_TIMELINE = f"{_DRIFT}[real-waited for]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table into the page and draw the picture."""
    argparse.ArgumentParser(prog="python -m bench.reliability", description=__doc__).parse_args(arguments)
    kept: Figures = json.loads(FIGURES.read_text())
    page = PAGE.read_text()
    before, _, behind = page.partition(BEGIN)
    PAGE.write_text("\n".join([before + BEGIN, *table(kept), END + behind.partition(END)[2]]))
    if _TIMELINE in kept:
        moments = (kept[_TIMELINE]["figures"][f"timeline {which} the loop"] for which in ("with", "without"))
        timeline.draw(*moments, asked=0.95, path=PICTURE)


def between(page: str) -> str:
    """What stands between the marks of the page."""
    return page.partition(BEGIN)[2].partition(END)[0]


def table(kept: Figures) -> list[str]:
    """The stories that have figures, as Markdown."""
    lines = ["| story | figures | made by |", "|---|---|---|"]
    return lines + [
        f"| {row.title} | {_told(kept[row.test]['figures'])} | `{row.command()}` |" for row in ROWS if row.test in kept
    ]


def _told(figures: dict[str, Any]) -> str:
    """What was measured, but for long lists of numbers."""
    said = {
        what: f"{value:,}" if isinstance(value, int) else value
        for what, value in figures.items()
        if not isinstance(value, list)
    }
    return "<br>".join(f"{what}: {value}" for what, value in said.items())


if __name__ == "__main__":
    main()

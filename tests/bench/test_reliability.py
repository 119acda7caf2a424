"""The page of the long stories says what the stories measured, and by which command; the picture can be drawn."""

import json
import re
from pathlib import Path

import pytest

from bench import reliability, timeline
from bench.reliability import FIGURES, PAGE, ROWS
from tests.docs.pages import ROOT

TESTS = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.test)
def test_every_row_is_a_story_and_its_command_chooses_it(row: reliability.Row) -> None:
    name = row.test.partition("[")[0]
    (marks,) = re.findall(rf"((?:@.*\n)+)def {name}\(", TESTS)
    assert "@pytest.mark.long" in marks
    assert row.words in name


def test_the_page_says_what_was_measured() -> None:
    kept = json.loads(FIGURES.read_text())
    assert reliability.between(PAGE.read_text()).strip().splitlines() == reliability.table(kept)
    assert len(kept) == len({row.test for row in ROWS} & kept.keys()), "a story that no row tells"


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    moments = [(1_000 * n, 0.95 - 0.01 * n, 100.0 + n, 1 + n // 2) for n in range(4)]
    assert timeline.draw(moments, moments[::-1], 0.95, tmp_path / "drift.png").stat().st_size > 5_000


def test_lists_of_numbers_stay_out_of_the_table() -> None:
    figures = {"cycles": 2_000, "lost": "0", "timeline": [[1, 2]]}
    lines = reliability.table({ROWS[0].test: {"figures": figures}})
    assert lines[2:] == [f"| {ROWS[0].title} | cycles: 2,000<br>lost: 0 | `{ROWS[0].command()}` |"]

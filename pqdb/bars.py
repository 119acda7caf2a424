"""Progress bars, all of one look: on a terminal they move, elsewhere they are silent."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


def bar(what: str, total: int | None, unit: str) -> "tqdm[Any]":
    """A bar named `what` that its `update(n)` moves; use it as a context manager."""
    return tqdm(
        desc=f"{what:<28}",
        total=total,
        unit=f" {unit}",
        unit_scale=True,
        dynamic_ncols=True,
        file=sys.stderr,
        disable=None,  # not a terminal: no bar
    )


@contextmanager
def stages() -> Iterator[Callable[[str, float], None]]:
    """A progress function for `Collection.optimize`: one bar a stage, told the share that is done."""
    open_bar: list[tuple[str, tqdm[Any]]] = []

    def progress(stage: str, share: float) -> None:
        if share == 0:  # about to begin: nothing to show yet
            return
        if not open_bar or open_bar[-1][0] != stage:
            if open_bar:
                open_bar.pop()[1].close()
            open_bar.append((stage, bar(stage, 100, "%")))
        shown = open_bar[-1][1]
        shown.update(100 * share - shown.n)

    try:
        yield progress
    finally:
        if open_bar:
            open_bar.pop()[1].close()

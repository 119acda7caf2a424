"""Progress bars, all of one look: on a terminal they move, elsewhere they are silent."""

import sys
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

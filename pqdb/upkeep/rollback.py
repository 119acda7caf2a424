"""The way back: the generation before takes over again, in one commit."""

from dataclasses import replace

from pqdb.errors import InputError
from pqdb.upkeep.stores import Stores
from pqdb.upkeep.watch import About, Watch


def previous(generations: list[int], current: int) -> int | None:
    """The generation that is kept for a way back."""
    return max((number for number in generations if number < current), default=None)


def roll_back(stores: Stores) -> int:
    """Let the generation before the current one be searched again; returns its number.

    What was written since it was left is fresh, and will be indexed. Upkeep will not train another one before many more
    points have come. Raises InputError.
    """
    there = stores.blocks.generations()
    with stores.points.read() as points:
        forgotten = points.forgotten_rows
    with stores.blocks.write() as batch:
        number = previous(there, batch.generation)
        if number is None:
            raise InputError(f"there is no generation before {batch.generation} to go back to")
        about = About.load(batch.get_object(number, "about") or b"")
        if about.watermark is None:
            raise InputError(f"generation {number} was left by a pqdb that did not note how far it had come")
        if forgotten > about.watermark:
            raise InputError(
                f"source=None keeps no vectors of the {forgotten - about.watermark:,} rows that came after generation "
                f"{number}, so it cannot be searched again"
            )
        watch = Watch.load_bytes(batch.get_object(number, "watch") or b"")
        batch.put_object(number, "about", replace(about, watermark=None).to_bytes())
        batch.put_note(number, "watch", replace(watch, refused_inserted=watch.inserted).to_bytes())
        batch.set_current(number, about.watermark)
    return number

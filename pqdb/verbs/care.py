"""The care of a collection: trained, indexed, compacted, told of, verified."""

from collections.abc import Sequence
from typing import Any

from pqdb.store.moment import Moment
from pqdb.upkeep.agree import disagreements
from pqdb.upkeep.report import disk, memory, report
from pqdb.upkeep.tended import Tended
from pqdb.upkeep.train import Progress
from pqdb.verbs.searching import Searching


class Care(Searching):
    """What happens by itself, for those who want to wait, and what there is to know."""

    def train(self, progress: Progress | None = None, *, using: str | None = None) -> None:
        """Learn a new generation of centroids and codebook from the points there are, and index all of them. Waits.

        using: the name of the vector, where vectors have names; all of them if nothing is said.
        """
        upkeep = self._writer()
        self._guard_vector(using)
        upkeep.run(upkeep.tended, progress)

    def optimize(self, progress: Progress | None = None) -> None:
        """Wait until everything is trained and indexed."""
        self._writer().run(progress=progress)

    def compact(self, progress: Progress | None = None, *, drop_previous: bool = False) -> None:
        """Give back to the disk what deleted and replaced points held: index everything, drop what is dead, and write
        both files anew without free pages. Waits; reads go on, and other processes follow to the new files by
        themselves.

        drop_previous: also the generation before, which is kept for a way back. Needs room for a second copy on the
        disk meanwhile; where there is none, DiskFullError, and everything is as it was.
        """
        self._writer().compact(progress, drop_previous)

    def rollback(self, *, using: str | None = None) -> int:
        """Go back to the generation that was searched before the last training, in one commit; returns its number.

        It is kept until the training after. Raises InputError where there is none.
        """
        upkeep = self._writer()
        self._guard_vector(using)
        return upkeep.roll_back(upkeep.tended[0])

    def info(self, resources: bool = True) -> dict[str, Any]:
        """Counts, configuration, state and bytes. resources=False leaves out `disk` and `memory`, which the system
        takes tens of milliseconds to say.
        """
        self._guard()
        facts = self._facts(resources)
        return {
            "name": self.name,
            "metadata": self.metadata,
            **facts,
            "payload_indexes": self.payload_indexes,
            "upkeep": self._working(self._upkeep.tended if self._upkeep else ()),
        }

    @property
    def payload_indexes(self) -> list[dict[str, Any]]:
        """The key and the kind of each payload index, and what else it was made with."""
        self._guard()
        with self._points.read() as points:
            return [index.described() for index in self._selector.definitions(points)]

    def verify(self) -> list[str]:
        """Read every byte against its checksum and every reference against its target; problems, none if sound.

        A damaged page can end the process that maps it: `pqdb.check` does the same in one of its own.
        """
        self._guard()
        found = [f"points: {problem}" for problem in self._points.verify()] + self._index_problems()
        return found or self._disagreements()

    # -- how

    def _facts(self, resources: bool) -> dict[str, Any]:
        """What `info()` tells of the vector, its index and its stores."""
        with Moment(self._blocks, self._points) as (blocks, points):
            snapshot = self._snapshot(points, blocks)
            holders: dict[str, list[Any]] = {
                "rows": [points.state, blocks.state],
                "index": [snapshot.index],
                "filters": [self._selector, self._passing],
                "upkeep": [self._upkeep],
            }
            facts = report(snapshot, self._points, self._blocks)
            if resources:
                facts["disk"] = disk(snapshot, self._points, self._blocks)
                facts["memory"] = memory(self._points, self._blocks, holders)
            return facts

    def _index_problems(self) -> list[str]:
        """What in the index is not what was written."""
        folder = self._blocks.path.name
        return [f"{folder}: {problem}" for problem in self._blocks.verify()]

    def _disagreements(self) -> list[str]:
        """What index and points do not agree on."""
        folder = self._blocks.path.name
        with Moment(self._blocks, self._points) as (blocks, points):
            return [f"{folder}: {problem}" for problem in disagreements(self._snapshot(points, blocks))]

    def _working(self, tended: Sequence[Tended]) -> dict[str, Any]:
        """What upkeep does, and what it has learned from."""
        upkeep = self._upkeep
        return {
            "stage": upkeep.stage if upkeep else None,
            "error": upkeep.error if upkeep else None,
            "live_queries": sum(len(each.queries) for each in tended if each.queries is not None),
            "learned_from_queries": any(each.learned is not None for each in tended),
        }

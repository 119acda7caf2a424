"""The care of a collection: trained, indexed, compacted, told of, verified."""

from typing import Any

from pqdb.upkeep.agree import disagreements
from pqdb.upkeep.report import report
from pqdb.upkeep.train import Progress
from pqdb.verbs.base import Verbs


class Care(Verbs):
    """What happens by itself, for those who want to wait, and what there is to know."""

    def train(self, progress: Progress | None = None) -> None:
        """Learn a new generation of centroids and codebook from the points there are, and index all of them. Waits."""
        self._writer().run(everything=True, retrain=True, progress=progress)

    def optimize(self, progress: Progress | None = None) -> None:
        """Wait until everything is trained and indexed."""
        self._writer().run(everything=True, progress=progress)

    def compact(self, progress: Progress | None = None, *, drop_previous: bool = False) -> None:
        """Give back to the disk what deleted and replaced points held: index everything, drop what is dead, and write
        both files anew without free pages. Waits; reads go on, and other processes follow to the new files by
        themselves.

        drop_previous: also the generation before, which is kept for a way back. Needs room for a second copy on the
        disk meanwhile; where there is none, DiskFullError, and everything is as it was.
        """
        self._writer().compact(progress, drop_previous)

    def rollback(self) -> int:
        """Go back to the generation that was searched before the last training, in one commit; returns its number.

        It is kept until the training after. Raises InputError where there is none.
        """
        return self._writer().roll_back()

    def info(self) -> dict[str, Any]:
        """Counts, configuration, state and bytes."""
        self._guard()
        with self._blocks.read() as blocks, self._points.read() as points:
            facts = report(self._snapshot(points, blocks), self._points, self._blocks)
            indexes = [{"key": index.path.text, "kind": index.kind} for index in self._selector.definitions(points)]
        upkeep = self._upkeep
        working = {"stage": upkeep.stage if upkeep else None, "error": upkeep.error if upkeep else None}
        kept = upkeep.queries if upkeep else None
        learned = upkeep is not None and upkeep.learned is not None
        live = {"live_queries": 0 if kept is None else len(kept), "learned_from_queries": learned}
        return {
            "name": self.name,
            "metadata": self.metadata,
            **facts,
            "payload_indexes": indexes,
            "upkeep": {**working, **live},
        }

    def verify(self) -> list[str]:
        """Read every byte against its checksum and every reference against its target; problems, none if sound.

        A damaged page can end the process that maps it: `pqdb.check` does the same in one of its own.
        """
        self._guard()
        found = [f"points: {problem}" for problem in self._points.verify()]
        found += [f"index: {problem}" for problem in self._blocks.verify()]
        if not found:
            with self._blocks.read() as blocks, self._points.read() as points:
                found = [f"index: {problem}" for problem in disagreements(self._snapshot(points, blocks))]
        return found

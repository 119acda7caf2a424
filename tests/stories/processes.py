"""Children of this room's tests: see tests/processes.py."""

from tests.processes import Children, hear, tell

__all__ = ["hear", "run", "talk", "tell"]

_children = Children("tests.stories.children")
run, talk = _children.run, _children.talk

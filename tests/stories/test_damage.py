"""Bit rot: what matters is caught by the check and named, what is not caught does not matter; indexes heal."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

import pqdb
from pqdb import checking
from tests.processes import Child, Children
from tests.stories import damage
from tests.stories.damage import Damage

Figure = Callable[[str, object], None]
children = Children("tests.stories.damage")


class ForkedCheck:
    """Stands for the process of a check: forked, so that a thousand of them take no hour."""

    def __init__(self, arguments: list[str]) -> None:
        self._child = Child("tests.stories.damage", "look", tuple(arguments))
        self.stdout = iter(self._child.hear_all())
        self.returncode = self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._child.end()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound database, never changed."""
    path = tmp_path_factory.mktemp("damage") / "whole"
    damage.make(path)
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def rot(whole: Path, tmp_path: Path, seeds: range, figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage a fresh copy again and again; each time the check names it, or nothing at all is different."""
    monkeypatch.setattr(checking, "start_child", ForkedCheck)
    names, truth, ends = damage.files(whole), damage.contents(whole), Counter[str]()
    for seed in seeds:
        path = Path(shutil.copytree(whole, tmp_path / "rotten"))
        harm = Damage.random(whole, seed)
        harm.do(path)
        try:
            found = pqdb.check(path).problems
        except pqdb.FormatError as error:
            found = [f"{names[harm.file]}{error}"]
        if found:
            assert any(problem.startswith(names[harm.file]) for problem in found), (seed, harm, found)
            ends["caught"] += 1
            ends["caught, the reader died"] += any("ended the process" in problem for problem in found)
        else:
            with children.talk("read_and_write", path) as child:
                said = child.hear_all()
                assert child.wait() == 0, (seed, harm, child.complaint())
            assert said == [truth, "written"], (seed, harm)
            ends["of no consequence"] += 1
        shutil.rmtree(path)
    assert ends["caught"] > len(seeds) // 4, ends
    for what, times in ends.items():
        figure(what, f"{times} of {len(seeds)}")
    figure("missed", 0)


def test_every_flip_and_cut_that_matters_is_named(
    whole: Path, tmp_path: Path, figure: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    rot(whole, tmp_path, range(40), figure, monkeypatch)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_every_one_of_a_thousand_flips_and_cuts_that_matters_is_named(
    whole: Path, tmp_path: Path, figure: Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    rot(whole, tmp_path, range(1_000), figure, monkeypatch)

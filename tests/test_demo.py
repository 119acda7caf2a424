"""The demo: the passages it finds, the vectors it makes of them, and the whole of it on the real library."""

import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pqdb
from pqdb.cli import main
from pqdb.demo import corpus
from pqdb.demo.corpus import Passage
from pqdb.demo.embed import DIM, Embedder

SOURCE = '''\
"""Hashes for files.

The second paragraph belongs to the same passage."""

# ---------------------------------

# A block of comment lines that
# go on in the same column.
x = 1  # a remark beside the code
# x = y[3] + (4 * 5) ** 6 - [7, 8, 9]


class Hasher:
    """Feeds blocks into a hash."""

    async def update(self):
        # Comments know the function they stand in.
        if True:
            def inner():
                """Docstrings of inner functions count too."""
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A small library: one module, one package, and what must be left out."""
    for name, text in {
        "hashes.py": SOURCE,
        "pack/__init__.py": '"""The package speaks for itself."""\n',
        "pack/latin.py": "# -*- coding: latin-1 -*-\n# Déjà vu is decoded as its file says.\n",
        "pack/broken.py": "def (:\n# a comment in a file that does not parse\n",
        "test/test_hashes.py": '"""Tests are left out."""\n',
        "site-packages/other.py": '"""Other people\'s packages are left out."""\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="latin-1" if "latin" in name else "utf-8")
    return tmp_path


def passages(root: Path) -> list[Passage]:
    return [found for path in corpus.source_files(root) for found in corpus.passages_of_file(path, root)]


def test_docstrings_and_comments_become_passages_with_their_place(library: Path) -> None:
    found = [(p.module, p.name, p.line, p.text) for p in passages(library)]
    assert found == [
        ("hashes", "hashes", 1, "Hashes for files. The second paragraph belongs to the same passage."),
        ("hashes", "hashes", 7, "A block of comment lines that go on in the same column."),
        ("hashes", "hashes", 9, "a remark beside the code"),
        ("hashes", "hashes.Hasher", 14, "Feeds blocks into a hash."),
        ("hashes", "hashes.Hasher.update", 17, "Comments know the function they stand in."),
        ("hashes", "hashes.Hasher.update.inner", 20, "Docstrings of inner functions count too."),
        ("pack", "pack", 1, "The package speaks for itself."),
        ("pack.latin", "pack.latin", 2, "Déjà vu is decoded as its file says."),
    ]


def test_long_docstrings_are_cut_between_words(tmp_path: Path) -> None:
    words = ["".join(letters) for letters in itertools.product("aeiou", "klm", "nop", "rst")]
    (tmp_path / "long.py").write_text(f'"""{" ".join(words)}"""\n')
    found = [p.text for p in passages(tmp_path)]
    assert " ".join(found).split() == words
    assert len(found) > 1
    assert max(map(len, found)) <= corpus.LONGEST


def test_a_wording_is_kept_once() -> None:
    twice = [Passage("m", "m.f", line, "Return the answer.") for line in (1, 9)]
    elsewhere = Passage("m", "m.g", 12, "Return the answer.")
    assert corpus.distinct([*twice, elsewhere]) == [twice[0], elsewhere]


def test_this_python_has_enough_to_read() -> None:
    root = corpus.standard_library()
    names = {path.name for path in corpus.source_files(root)}
    assert {"hashlib.py", "shutil.py", "tempfile.py"} <= names
    assert len(corpus.passages_of_file(root / "shutil.py", root)) > 50


def test_vectors_are_of_unit_length_and_near_where_the_meaning_is() -> None:
    near, far, question, nothing = Embedder().embed(
        ["compress a block of data", "the month of a date", "how do I compress data", ""]
    )
    assert near.shape == (DIM,)
    assert near.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm([near, far, question], axis=1), 1, rtol=1e-5)
    assert question @ near > question @ far + 0.2
    assert not nothing.any()


@pytest.fixture(scope="module")
def half_the_library() -> Iterator[pytest.MonkeyPatch]:
    """The single-file modules alone: enough for learned codes in a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "source_files", lambda root: sorted(root.glob("*.py")))
        yield patch


@pytest.fixture(scope="module")
def first_run(
    half_the_library: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """The folder of a demo that has run once, and what it said."""
    data = tmp_path_factory.mktemp("demo") / "demo-data"
    return data, demo("--data", data)


@pytest.fixture
def demo_data(first_run: tuple[Path, str]) -> Path:
    return first_run[0]


@pytest.fixture
def nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def source_files(root: Path) -> list[Path]:
        raise AssertionError("the library is read again")

    monkeypatch.setattr(corpus, "source_files", source_files)


def demo(*words: str | Path) -> str:
    result = CliRunner().invoke(main, ["demo", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_first_run_indexes_measures_and_answers(first_run: tuple[Path, str]) -> None:
    demo_data, said = first_run
    passages = int(found(r"passages +([\d,]+), 256 dimensions", said).replace(",", ""))
    with pqdb.open(demo_data, read_only=True) as db:
        info = db["stdlib"].info()
    assert passages == info["points"] == info["indexed"] >= 5_000
    assert int(found(r"held hot .* (\d+) bytes a passage", said)) == round(info["hot_bytes"] / passages) <= 60
    assert float(found(r"recall@10, passages +([\d.]+)", said)) >= 0.95
    assert float(found(r"recall@10, questions +([\d.]+)", said)) >= 0.85
    for step in ("read", "embedded and stored", "trained and indexed"):
        found(rf"  {step} +([\d.]+) s\n", said)
    answer = said.partition("? how do I hash a file")[2].partition("?")[0]
    assert "hashlib.file_digest  (hashlib, line" in answer
    assert 'demo "' in said
    assert f"serve {demo_data}" in said


@pytest.mark.usefixtures("demo_data", "nothing_to_read")
def test_the_second_run_reads_nothing_again(demo_data: Path) -> None:
    said = demo("--data", demo_data)
    assert "by an earlier run" in said
    assert "? how do I hash a file" in said


@pytest.mark.usefixtures("demo_data", "nothing_to_read")
def test_a_question_of_ones_own_is_answered_alone(demo_data: Path) -> None:
    said = demo("copy a whole directory tree", "--data", demo_data)
    assert said.strip().startswith("? copy a whole directory tree")
    assert "shutil.copytree" in said
    assert "recall" not in said


def test_without_its_extra_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    told = CliRunner().invoke(main, ["demo", "--data", str(tmp_path / "data")])
    assert isinstance(told.exception, SystemExit)
    assert told.output.endswith('Error: the demo embeds with wordllama: pip install "pqdb[demo]"\n')


def test_what_was_interrupted_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "source_files", lambda root: [root / "hashlib.py", root / "shutil.py"])
    demo("compress data", "--data", tmp_path)
    with pqdb.open(tmp_path, upkeep="manual") as db:
        before = len(db["stdlib"])
        db["stdlib"].delete([before - 1])
    demo("compress data", "--data", tmp_path)
    with pqdb.open(tmp_path, read_only=True) as db:
        assert len(db["stdlib"]) == before


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"{pattern!r} is not in:\n{text}"
    return match[1]

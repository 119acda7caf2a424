"""The demo: the passages it finds, the vectors it makes of them, and the whole of it on the real library."""

import itertools
from pathlib import Path

import numpy as np
import pytest

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

"""Text to 256 numbers by wordllama: averaged word vectors from a 16 MB model that its wheel carries."""

import importlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

DIM = 256
MODEL = "wordllama-l2_supercat-256"  # goes into the collection's metadata: another model needs other vectors


class Embedder:
    """The model, loaded once; nothing is fetched.

    Raises ModuleNotFoundError with a sentence when the extra `demo` is not installed.
    """

    def __init__(self) -> None:
        self._model = _load()

    def embed(self, texts: list[str]) -> np.ndarray:
        """(n, DIM) float32 unit vectors; a text without a known word becomes the zero vector."""
        vectors: np.ndarray = self._model.embed(texts)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)


def _load() -> Any:  # wordllama has no types
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        wordllama = importlib.import_module("wordllama")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('the demo embeds with wordllama: pip install "pqdb[demo]"') from error
    root.handlers, root.level = handlers, level  # wordllama's import configures everybody's logging; undo it
    # Its loader looks for the tokenizer in "tokenizer/", its wheel ships "tokenizers/"; as a cache both fit.
    package = Path(str(wordllama.__file__)).parent
    return wordllama.WordLlama.load(dim=DIM, cache_dir=package, disable_download=True)

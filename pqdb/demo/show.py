"""The demo from beginning to end: build or reopen, report, answer, say what to do next."""

import importlib.util
import platform
import sys
import textwrap
from pathlib import Path

import click

import pqdb
from pqdb.demo.embed import Embedder
from pqdb.demo.library import Library, library
from pqdb.demo.measure import Measured, measure

QUESTIONS = (
    "how do I hash a file",
    "copy a whole directory tree",
    "how do I compress data",
)
ANSWERS = 3
TITLE = "The docstrings and comments of Python's standard library"


def show(data: Path, question: str | None) -> None:
    """Run the demo on the database in `data`; a question of one's own replaces report and examples."""
    if question is None:
        click.echo(f"{TITLE}, version {platform.python_version()}, in {data}")
    embedder = Embedder()
    with pqdb.open(data, upkeep="manual") as db:
        found = library(db, embedder)
        if question is None:
            click.echo(report(found, measure(found.collection, embedder)))
        for each in QUESTIONS if question is None else (question,):
            click.echo(answer(found.collection, embedder, each))
    if question is None:
        click.echo(what_next(data))


def report(found: Library, measured: Measured) -> str:
    """The numbers, one a line."""
    codes = (
        f"{measured.code_bytes / 1e6:.1f} MB, {measured.code_bytes / measured.passages:.0f} bytes a passage"
    )
    lines = {
        "passages": f"{measured.passages:,}, {found.collection.dim} dimensions each",
        "as float32": f"{measured.float_bytes / 1e6:.1f} MB",
        "as codes, held hot": f"{codes}, {measured.float_bytes / measured.code_bytes:.0f} × less",
        **{step: f"{seconds:.1f} s" for step, seconds in found.seconds.items()},
        "recall@10, passages": interval(measured.recall_of_rows),
        "recall@10, questions": interval(measured.recall_of_questions),
        "queries a second": f"{measured.queries_per_second:,.0f} on one core, one query a call",
    }
    if not found.seconds:
        lines["indexed"] = "by an earlier run"
    return "\n".join(["", *(f"  {name:<22}{value}" for name, value in lines.items())])


def interval(recall: pqdb.RecallReport) -> str:
    """A measured recall with what is known of it."""
    return f"{recall.recall:.3f}, 95 % sure of {recall.low:.3f} to {recall.high:.3f} ({recall.n} asked)"


def answer(collection: pqdb.Collection, embedder: Embedder, question: str) -> str:
    """The question, and the passages nearest to it."""
    lines = [f"\n? {question}"]
    for hit in collection.search(embedder.embed([question])[0], k=ANSWERS):
        passage = hit.payload or {}
        text = textwrap.shorten(str(passage["text"]), 200, placeholder=" …")
        lines.append(f"  {hit.score:.2f}  {passage['name']}  ({passage['module']}, line {passage['line']})")
        lines.append(textwrap.indent(textwrap.fill(text, 92), " " * 8))
    return "\n".join(lines)


def what_next(data: Path) -> str:
    """How to go on from here, in commands that work where the demo was started."""
    called = Path(sys.argv[0]).absolute()
    command = str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else "pqdb"
    lines = [
        f'\nAsk your own:   {command} demo "read a configuration file"',
        f"Serve it:       {command} serve {data}",
    ]
    if importlib.util.find_spec("fastapi") is None:
        lines[-1] += "   (first: pip install 'pqdb[server]', in a checkout make serve)"
    return "\n".join(lines)

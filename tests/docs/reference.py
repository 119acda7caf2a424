"""docs/reference.md, made of the signatures and docstrings of everything public: `python -m tests.docs.reference`."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pqdb

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
HEAD = """# Reference

Every public name with its signature and its docstring: `help(pqdb.Collection.search)` says the same. By subject and
with examples that is the [guide](guide.md); errors are listed [there](guide.md#errors). This page is made by
`python -m tests.docs.reference`, and the test suite sees to it that it is current.
"""
ROOMS = (
    ("Open and look after a database", ("open", "check", "repair", "restore", "warm_up")),
    ("Database", (pqdb.Database,)),
    ("Collection", (pqdb.Collection,)),
    ("What collections are made with", ("CollectionConfig", "VectorConfig", "NamedConfig", "SparseConfig", "PQ", "SQ",
                                         "Flat", "SparseVector")),
    ("What comes back", ("Hits", "BatchHits", "Hit", "Point", "Page", "Group", "Explanation", "FilterExplanation",
                         "RecallReport", "CheckReport", "Findings", "RepairReport")),
    ("Filters, fusion, files", ("parse_filter", "fuse_rrf", "fuse_dbsf", "import_points", "export_points")),
)  # fmt: skip


def page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for title, names in ROOMS:
        parts.append(f"## {title}\n")
        for name in names:
            parts += _class(name) if isinstance(name, type) else _named(name)
    return "\n".join(parts)


def _named(name: str) -> Iterator[str]:
    thing = getattr(pqdb, name)
    if not isinstance(thing, type):
        yield _entry(name, thing)
        return
    yield f"### `{name}`\n\n{_told(thing)}\n"
    if is_dataclass(thing):
        lines = [f"{field.name}: {_annotation(thing, field.name)}" for field in fields(thing) if field.repr]
        yield "```py\n" + "\n".join(lines) + "\n```\n"


def _class(kind: type) -> Iterator[str]:
    yield f"{_told(kind)}\n"
    for name in sorted(_members(kind)):
        member = inspect.getattr_static(kind, name)
        if isinstance(member, property):
            yield f"### `{name}`\n\n{_told(member)}\n"
        else:
            yield _entry(name, getattr(kind, name))


def _members(kind: type) -> set[str]:
    ours = (each for each in kind.__mro__ if each.__module__.startswith("pqdb"))
    return {name for each in ours for name in vars(each) if not name.startswith("_")}


def _entry(name: str, function: Any) -> str:
    return f"### `{name}`\n\n```py\n{_signature(name, function)}\n```\n\n{_told(function)}\n"


def _signature(name: str, function: Any) -> str:
    """As it is written, without `self`: annotations as one reads them, not as they were evaluated."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    node.args.args = [each for each in node.args.args if each.arg != "self"]
    node.args.defaults = [_value(each, function) for each in node.args.defaults]
    node.args.kw_defaults = [None if each is None else _value(each, function) for each in node.args.kw_defaults]
    arguments, given = ast.unparse(node.args), "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    line = f"{name}({arguments}){given}"
    if len(line) <= 110:
        return line
    every = [*_arguments(node.args)]
    return f"{name}(\n" + "".join(f"    {each},\n" for each in every) + f"){given}"


def _value(default: ast.expr, function: Any) -> ast.expr:
    """A default, and where it is a constant's name its value."""
    return ast.Constant(function.__globals__[default.id]) if isinstance(default, ast.Name) else default


def _arguments(given: ast.arguments) -> Iterator[str]:
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    for each, default in zip(plain, defaults, strict=True):
        yield _argument(each, default)
    if given.kwonlyargs:
        yield "*"
    for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _argument(each, default)


def _argument(each: ast.arg, default: ast.expr | None) -> str:
    told = each.arg if each.annotation is None else f"{each.arg}: {ast.unparse(each.annotation)}"
    return told if default is None else f"{told} = {ast.unparse(default)}"


def _annotation(kind: type, name: str) -> str:
    """The annotation and the default of a dataclass's field, as they are written where it is declared."""
    for each in kind.__mro__:
        if name in vars(each).get("__annotations__", {}):
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
            assert isinstance(node, ast.ClassDef)
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == name:
                    default = "" if line.value is None else f" = {ast.unparse(line.value)}"
                    return ast.unparse(line.annotation) + default
    raise AssertionError(f"{kind.__name__}.{name} is declared nowhere")


def _told(thing: Any) -> str:
    said = inspect.getdoc(thing)
    assert said, thing
    return said


if __name__ == "__main__":
    PAGE.write_text(page())

"""The documentation is true: code runs, links lead somewhere, commands exist, nothing public is left out."""

import importlib.util
import re
import shlex
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

import pqdb
from pqdb.cli.main import main
from tests.compiled import compiled
from tests.docs.pages import PAGES, ROOT, anchors, blocks, commands, links, run

PUBLISHED = ROOT / "bench" / "published"
MAKEFILE = (ROOT / "Makefile").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """A service on a free port: its address."""
    import uvicorn

    import pqdb_server

    with pqdb.open(folder) as database:
        config = uvicorn.Config(pqdb_server.create_app(database), port=0, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


# -- code


@compiled
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_runs_and_prints_what_the_page_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if any("http://127.0.0.1:6333" in block.code for block in blocks(page, "python")):
        with service(tmp_path / "served") as url:
            run(page, url)
    else:
        run(page)


def test_a_page_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint(1 + 1)\n```\n```text\n3\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:2 prints\n2"):
        run(page)
    page.write_text("```python\nassert False\n```\n")
    with pytest.raises(AssertionError):
        run(page)


def test_numbers_in_the_prose_of_concepts_are_printed_by_its_code() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text().replace("−", "-")
    code = "".join(re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL))
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    printed = set(re.findall(r"-?\d+\.\d+", code))
    assert set(re.findall(r"-?\d+\.\d+", prose)) <= printed


# -- words


@pytest.mark.parametrize("name", pqdb.__all__)
def test_every_public_name_has_its_place_in_the_guide(name: str) -> None:
    page = (ROOT / "docs" / "guide.md").read_text()
    assert re.search(rf"`(pqdb\.)?{name}\b|\bpqdb\.{name}\b", page)


@pytest.mark.parametrize("kind", [pqdb.Database, pqdb.Collection])
def test_every_verb_has_its_place_in_the_guide(kind: type) -> None:
    page = (ROOT / "docs" / "guide.md").read_text()
    for verb in dir(kind):
        assert verb.startswith("_") or re.search(rf"\b{verb}\b", page), f"{kind.__name__}.{verb}"


def test_every_verb_of_the_command_line_has_its_place_in_the_guide() -> None:
    page = (ROOT / "docs" / "guide.md").read_text()
    for verb in main.commands:
        assert f"| `pqdb {verb}" in page


def test_supported_platforms_are_stated_as_the_project_declares_them() -> None:
    least = PYPROJECT["requires-python"].removeprefix(">=")
    assert f"Python {least} or newer" in README
    systems = [name for name in PYPROJECT["classifiers"] if name.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux"]
    for word in ("Linux", "x86-64", "aarch64"):
        assert word in README.partition("## Platforms")[2].partition("\n## ")[0]


# -- links and commands


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if PUBLISHED in target.parents and not any(PUBLISHED.glob("*.png")):
            continue  # the benchmarks have not been published yet
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("index", ["README.md", "docs/README.md"])
def test_an_index_has_every_page(index: str) -> None:
    folder = (ROOT / index).parent
    listed = {(folder / link.partition("#")[0]).resolve() for link in links(ROOT / index)}
    pages = {page for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"}
    assert pages - listed == set()


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, new = set(), {ROOT / "README.md"}
    while new:
        page = new.pop()
        reached.add(page)
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        new |= {target for target in targets if target.suffix == ".md" and target.exists()} - reached
    assert set(PAGES) <= reached


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    for words in commands(page):
        assert exists(words), shlex.join(words)


@pytest.mark.parametrize(
    "command", ["make nothing", "pqdb nothing", "pqdb serve --nothing x", "python -m nothing.at.all", "ls"]
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    assert not exists(shlex.split(command))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_within_the_text_exist(page: Path) -> None:
    for command in re.findall(r"`((?:make|pqdb) [a-z][^`]*)`", page.read_text()):
        assert exists(shlex.split(command)), command


def exists(words: list[str]) -> bool:
    """Whether a command could be run: its target, verb, module or file is there."""
    program, *rest = [word for word in words if "=" not in word or word.startswith("-")]
    if program == "make":
        return all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in rest)
    if program.endswith("pqdb"):
        return _verb_exists(rest)
    if program.startswith("python") and rest[0] == "-m":
        return rest[1] == "venv" or _module_exists(rest[1])
    if program.endswith("pip"):
        extras = re.findall(r"\[([\w,]+)\]", " ".join(rest))
        return set(",".join(extras).split(",")) - {""} <= set(PYPROJECT["optional-dependencies"])
    if program == "docker":
        files = re.findall(r"-f (\S+)", " ".join(rest)) or ["docker-compose.yml"]
        return all((ROOT / file).exists() for file in files)
    return program in ("curl", "git", "cd")


def _verb_exists(words: list[str]) -> bool:
    verb = main.commands.get(words[0])
    if verb is None:
        return False
    known = {name for parameter in verb.params if isinstance(parameter, click.Option) for name in parameter.opts}
    return {word for word in words if word.startswith("--")} <= known


def _module_exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


# -- the README's numbers


def test_the_table_of_numbers_is_filled_once_there_are_published_ones() -> None:
    table = README.partition("<!-- numbers -->")[2].partition("<!-- /numbers -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 6
    assert all(re.search(r"`(make|python|pqdb) ?[^`]*`", row) for row in rows), "the command that makes each"
    if any(PUBLISHED.glob("*.png")):
        assert "…" not in table


def test_changelog_knows_this_version() -> None:
    assert re.search(rf"^## {re.escape(PYPROJECT['version'])}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

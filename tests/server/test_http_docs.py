"""docs/http.md runs: every command gives the answer beside it, and every route has its place on the page."""

import json
import re
import shlex
from pathlib import Path

import pytest

from pqdb_server import Settings
from pqdb_server.app import ROOMS
from pqdb_server.routes import service

PAGE = (Path(__file__).parents[2] / "docs/http.md").read_text()
EXAMPLE = re.compile(r"```sh\n(.*?)```\n```json\n(.*?)```", re.DOTALL)


SNAPSHOT = re.compile(r'"name":"([^"]+\.snapshot)"')  # in an answer: what $SNAPSHOT stands for from then on


def request(command: str) -> tuple[str, str, dict[str, str], str | None]:
    """A curl command as (method, path, headers, body)."""
    words = iter(shlex.split(command))
    assert next(words) == "curl"
    method, url, headers, body = "GET", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, value = next(words).split(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        else:
            url = word
    assert url.startswith("http://127.0.0.1:6333/")
    return method, url.removeprefix("http://127.0.0.1:6333"), headers, body


def matches(answer: object, expected: object) -> bool:
    """Whether an answer is the one on the page, on which `…` stands for anything."""
    if expected == "…":
        return True
    if isinstance(expected, dict) and isinstance(answer, dict):
        if "…" not in expected and answer.keys() != expected.keys():
            return False
        return all(key in answer and matches(answer[key], expected[key]) for key in expected if key != "…")
    return answer == expected


def test_every_command_gives_the_answer_beside_it(http):
    examples = EXAMPLE.findall(PAGE)
    assert len(examples) == PAGE.count("```sh") == PAGE.count("```json")
    snapshot = ""
    for command, printed in examples:
        method, path, headers, body = request(command.replace("$SNAPSHOT", snapshot))
        answered = http.client.request(method, path, headers=headers, content=body)
        answer, named = answered.json(), SNAPSHOT.search(answered.text)
        snapshot = named[1] if named else snapshot
        expected = json.loads(printed)
        assert answer.pop("time", None).__class__ is expected.pop("time", None).__class__
        assert matches(answer, expected), (command, answer)


@pytest.mark.parametrize("router", [room for room in ROOMS if room is not service])
def test_every_route_has_a_heading(router):
    for route in router.router.routes:
        for method in route.methods:
            assert f"### {method} {route.path}\n" in PAGE


def test_every_route_of_the_service_is_named():
    for route in service.router.routes:
        assert route.path == "/" or f"`GET {route.path}`" in PAGE


def test_every_setting_has_its_row():
    page = (Path(__file__).parents[2] / "docs/deploying.md").read_text()
    for name in Settings.model_fields:
        assert re.search(rf"^\|.*`PQDB_{name.upper()}`.*\|", page, re.MULTILINE), name


def test_every_metric_has_its_row(http):
    page = (Path(__file__).parents[2] / "docs/deploying.md").read_text()
    for name in set(re.findall(r"# TYPE (pqdb_\w+)", http.client.get("/metrics").text)):
        if name.endswith("_created"):
            continue
        short = name.removeprefix("pqdb_collection")
        assert name in page or f"`{short}`" in page, name

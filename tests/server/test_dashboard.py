"""The dashboard's files, what they may load, and the verbs that only it asks for."""

import re
from pathlib import Path

import numpy as np
import pytest

from pqdb_server import embedding
from pqdb_server.mapping import plane

FOLDER = Path(embedding.__file__).parent / "dashboard"
FILES = sorted(path.name for path in FOLDER.iterdir())


def test_the_page_and_its_files(http):
    page = http.client.get("/dashboard")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in FILES:
        answer = http.client.get(f"/dashboard/{name}")
        assert answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["settings.py", "..%2fsettings.py", "%2e%2e/settings.py", "index.html%00"])
def test_nothing_else_is_served(http, name):
    assert http.client.get(f"/dashboard/{name}").status_code == 404


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_loaded_from_elsewhere(name):
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+\S*", (FOLDER / name).read_text())
    assert [a for a in addresses if not a.startswith("http://www.w3.org/2000/svg")] == []


def test_nothing_is_parsed_as_html():
    dangerous = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b"
    for name in FILES:
        assert not re.search(dangerous, (FOLDER / name).read_text())


def test_every_id_the_script_asks_for_is_on_the_page():
    ids = set(re.findall(r'id="([\w-]+)"', (FOLDER / "index.html").read_text()))
    asked = set(re.findall(r'at\("([\w-]+)"\)', (FOLDER / "page.js").read_text()))
    assert asked <= ids


def test_map_of_a_collection_without_lists(unchanged):
    points = unchanged.ok("GET", "/pqdb/v1/collections/docs/map")["points"]
    assert len(points) == 3
    assert all(0 <= point["x"] <= 1 and point["list"] == -1 for point in points)


def test_map_knows_lists(http, database, clusters):
    big = database.create_collection("big", dim=16)
    vectors = clusters(6_000, 16)
    big.upsert(np.arange(6_000), vectors)
    big.optimize()
    points = http.ok("GET", "/pqdb/v1/collections/big/map?sample=300")["points"]
    assert len(points) == 300
    lists = big.lists_of(vectors)
    assert all(point["list"] == lists[point["id"]] for point in points)
    assert len({point["list"] for point in points}) > 5


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 1), (7, 2), (50, 30)])
def test_plane_of_any_shape(rng, shape):
    flat = plane(rng.normal(size=shape).astype(np.float32))
    assert flat.shape == (shape[0], 2)
    assert ((flat >= 0) & (flat <= 1)).all()


def test_plane_shows_where_points_differ_most(rng):
    vectors = rng.normal(size=(200, 6)).astype(np.float32)
    vectors[:, 4] *= 100
    x = plane(vectors)[:, 0]
    assert abs(np.corrcoef(x, vectors[:, 4])[0, 1]) > 0.999


def test_texts_are_embedded_where_the_embedder_is(http):
    if not embedding.dimensions():
        pytest.skip("the extra `demo` is not installed")
    vector = http.ok("POST", "/pqdb/v1/embed", {"text": "hash a file"})["vector"]
    assert len(vector) == embedding.dimensions()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_without_it_the_service_says_so(http, monkeypatch):
    monkeypatch.setattr(embedding, "NEEDS", "no_such_module")
    assert http.ok("GET", "/pqdb/v1/capabilities")["embedder"] is None
    status, text = http.error("POST", "/pqdb/v1/embed", {"text": "hash a file"})
    assert (status, "pqdb[demo]" in text) == (400, True)

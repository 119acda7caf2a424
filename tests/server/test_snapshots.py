"""Snapshots of collections: by the official client over a real socket, and what must not pass."""

import hashlib
import io
import tarfile
import time
from pathlib import Path

import httpx
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

import pqdb
from pqdb import checking
from pqdb_server import Settings
from tests.stories.damage import ForkedCheck

from .conftest import fill

NAME = "docs"
AT = f"/collections/{NAME}/snapshots"
NOTHING = "nothing is changed"


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks fork their process here, as importing pqdb anew costs a second."""
    monkeypatch.setattr(checking, "start_child", ForkedCheck)


@pytest.fixture
def filled(client) -> QdrantClient:
    client.create_collection(NAME, models.VectorParams(size=4, distance=models.Distance.DOT))
    points = [models.PointStruct(id=i, vector=[float(i)] * 4, payload={"n": i}) for i in range(20)]
    client.upsert(NAME, points)
    return client


def ids(client: QdrantClient) -> list[int | str]:
    return [point.id for point in client.scroll(NAME, limit=100)[0]]


def test_the_client_makes_lists_recovers_and_deletes(filled, database):
    made = filled.create_snapshot(NAME)
    assert made.name.startswith("docs-2")
    assert made.name.endswith(".snapshot")
    file = database.path / "snapshots" / NAME / made.name
    assert (made.size, made.checksum) == (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
    assert filled.list_snapshots(NAME) == [made]
    filled.delete(NAME, [1, 2, 3])
    assert filled.recover_snapshot(NAME, f"file://{file}", checksum=made.checksum, priority="snapshot")
    assert ids(filled) == list(range(20))
    filled.delete_collection(NAME)
    assert filled.recover_snapshot(NAME, file.as_uri())
    assert ids(filled) == list(range(20))
    assert filled.recover_snapshot("copy", file.as_uri())
    assert filled.count("copy").count == 20
    assert filled.delete_snapshot(NAME, made.name)
    assert filled.list_snapshots(NAME) == []
    assert list(file.parent.iterdir()) == []
    with pytest.raises(UnexpectedResponse, match="404"):
        filled.delete_snapshot(NAME, made.name)


def test_a_file_goes_out_and_comes_in_elsewhere(filled, url, database, tmp_path):
    name = filled.create_snapshot(NAME).name
    file = httpx.get(f"{url}{AT}/{name}")
    assert file.status_code == 200
    assert name in file.headers["content-disposition"]
    with tarfile.open(fileobj=io.BytesIO(file.content)) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    with pqdb.open(tmp_path / "unpacked", read_only=True) as copy:
        assert len(copy[NAME]) == 20
    filled.delete(NAME, list(range(15)))
    answer = httpx.post(f"{url}{AT}/upload", files={"snapshot": (name, file.content)}, timeout=60)
    assert (answer.status_code, answer.json()["result"]) == (200, True)
    assert len(ids(filled)) == 20
    answer = httpx.post(f"{url}/collections/new/snapshots/upload", files={"snapshot": file.content}, timeout=60)
    assert answer.json()["result"] is True
    assert filled.count("new").count == 20
    assert [each.name for each in (database.path / "snapshots").iterdir()] == [NAME]  # nothing of an upload is left


def test_an_alias_keeps_its_collection(docs, database):
    actions = [{"create_alias": {"collection_name": NAME, "alias_name": "live"}}]
    docs.ok("POST", "/collections/aliases", {"actions": actions})
    made = docs.ok("POST", "/collections/live/snapshots")
    docs.ok("POST", "/collections/docs/points/delete", {"points": [1, 2]})
    assert docs.ok("GET", "/collections/live/snapshots") == docs.ok("GET", AT) == [made]
    assert docs.ok("PUT", "/collections/live/snapshots/recover", {"location": made["name"]}) is True
    assert docs.ok("POST", "/collections/live/points/count", {}) == {"count": 3}
    assert database.aliases() == {"live": NAME}


def test_nobody_need_wait(docs):
    status, body = docs("POST", f"{AT}?wait=false")
    assert (status, body) == (202, {"status": "accepted", "time": 0.0})
    deadline = time.monotonic() + 60
    while not (made := docs.ok("GET", AT)) or made[0]["checksum"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    docs.ok("POST", "/collections/docs/points/delete", {"points": [1]})
    status, body = docs("PUT", f"{AT}/recover?wait=false", {"location": made[0]["name"]})
    assert (status, body["status"]) == (202, "accepted")
    while docs.ok("POST", "/collections/docs/points/count", {}) != {"count": 3}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert docs("DELETE", f"{AT}/{made[0]['name']}?wait=false")[0] == 202
    while docs.ok("GET", AT):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_folder_may_be_named(database, connect, tmp_path):
    docs = fill(connect(database, Settings(snapshots=tmp_path / "kept")))
    made = docs.ok("POST", AT)
    assert (tmp_path / "kept" / NAME / made["name"]).is_file()
    assert not (database.path / "snapshots").exists()


# -- what must not pass


@pytest.fixture
def kept(docs) -> str:
    """The name of a snapshot."""
    return docs.ok("POST", AT)["name"]


@pytest.mark.parametrize(
    "name", ["..%2F..%2Fcatalog%2Fdata.mdb", "%2e%2e", ".hidden.snapshot", "a%00.snapshot", "catalog", "ä.snapshot",
             "nobody.snapshot", "x" * 300 + ".snapshot", "..%5C..%5Cx.snapshot"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_no_other_file_is_given_or_deleted(docs, kept, database, name, method):
    answer = docs.client.request(method, f"{AT}/{name}")
    assert answer.status_code in (404, 405)
    assert (database.path / "catalog" / "data.mdb").is_file()


@pytest.mark.parametrize(
    ("location", "status", "words"),
    [
        ("http://localhost/docs.snapshot", 400, "fetching snapshots from other hosts"),
        ("https://other/x.snapshot", 400, "send it to snapshots/upload"),
        ("ftp://x/y.snapshot", 400, "neither file:// and a path"),
        ("file://other/x.snapshot", 400, "neither file:// and a path"),
        ("../x.snapshot", 400, "neither file:// and a path"),
        ("file:///etc/passwd", 400, "no snapshot in this service's folder"),
        ("file://{folder}/../catalog/data.mdb", 400, "no snapshot in this service's folder"),
        ("file://{folder}/docs/../../catalog/a.snapshot", 400, "no snapshot in this service's folder"),
        ("file://{folder}/%2e%2e/catalog/a.snapshot", 400, "no snapshot in this service's folder"),
        ("file://{folder}/docs/link.snapshot", 400, "no snapshot in this service's folder"),
        ("file://{folder}/docs/nobody.snapshot", 404, "doesn't exist"),
        ("nobody.snapshot", 404, "doesn't exist"),
        ("", 404, "doesn't exist"),
    ],
)
def test_no_other_place_is_recovered_from(docs, kept, database, tmp_path, location, status, words):
    folder = database.path / "snapshots"
    (tmp_path / "outside.snapshot").write_bytes((folder / NAME / kept).read_bytes())
    (folder / NAME / "link.snapshot").symlink_to(tmp_path / "outside.snapshot")
    got, text = docs.error("PUT", f"{AT}/recover", {"location": location.format(folder=folder)})
    assert (got, words in text) == (status, True), text
    assert docs.ok("POST", "/collections/docs/points/count", {}) == {"count": 3}


def test_a_wrong_checksum_or_a_damaged_file_changes_nothing(docs, kept, database):
    before = docs.ok("POST", "/collections/docs/points/scroll", {"with_vector": True})
    file: Path = database.path / "snapshots" / NAME / kept
    body = {"location": kept, "checksum": "0" * 64}
    status, text = docs.error("PUT", f"{AT}/recover", body)
    assert (status, "SHA256 is not 000" in text, NOTHING in text) == (400, True, True)
    assert docs.error("PUT", f"{AT}/recover", {"location": kept, "checksum": "short"})[0] == 400
    raw = file.read_bytes()
    for damaged in (raw[: len(raw) // 2], raw[:-20_000] + bytes(8_000) + raw[-12_000:], b"", b"no tar at all" * 100):
        file.write_bytes(damaged)
        status, text = docs.error("PUT", f"{AT}/recover", {"location": kept})
        assert (status, NOTHING in text) == (400, True), text
        answer = docs.client.post(f"{AT}/upload", files={"snapshot": damaged})
        assert (answer.status_code, NOTHING in answer.text) == (400, True), answer.text
    assert docs.ok("POST", "/collections/docs/points/scroll", {"with_vector": True}) == before
    assert sorted(each.name for each in (database.path / "snapshots").iterdir()) == [NAME]
    report = pqdb.check(database.path)
    assert (report.problems, report.leftovers) == ([], [])


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"{}", "application/json", "expected multipart/form-data"),
        (b"x", "multipart/form-data", "with a boundary"),
        (b"no form", "multipart/form-data; boundary=b", "Format error in form"),
        (b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
         "multipart/form-data; boundary=b", "missing field `snapshot`"),
        (b'--b\r\nContent-Disposition: form-data; name="snapshot"\r\n\r\nxxxx',
         "multipart/form-data; boundary=b", "missing field `snapshot`"),
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused(docs, database, content, kind, words):
    answer = docs.client.post(f"{AT}/upload", content=content, headers={"content-type": kind})
    assert answer.status_code == 400
    assert words in answer.json()["status"]["error"]
    assert list((database.path / "snapshots").glob("*")) == []


def test_larger_files_than_allowed_are_refused(database, serve):
    http = fill(serve(database, Settings(snapshot_limit_mb=1)))
    answer = http.client.post(f"{AT}/upload", files={"snapshot": bytes(1_200_000)})
    assert answer.status_code == 400
    assert "larger than allowed (limit: 1048576 bytes)" in answer.json()["status"]["error"]
    assert list((database.path / "snapshots").iterdir()) == []


def test_another_web_page_may_not_send_a_form(docs):
    answer = docs.client.post(f"{AT}/upload", files={"snapshot": b"x"}, headers={"origin": "https://elsewhere.example"})
    assert (answer.status_code, "elsewhere.example" in answer.text) == (403, True)
    own = docs.client.post(f"{AT}/upload", files={"snapshot": b"x"}, headers={"origin": "http://embedded"})
    assert own.status_code == 400


def test_another_web_page_may_not_send_nothing_either(docs):
    """A POST without a body is as simple as a form to a browser."""
    elsewhere = {"origin": "https://elsewhere.example"}
    before = docs.client.get(AT).json()["result"]
    assert docs.client.post(AT, headers=elsewhere).status_code == 403
    assert docs.client.post(AT, headers={**elsewhere, "content-type": "text/plain"}).status_code == 403
    assert docs.client.get(AT).json()["result"] == before
    proxied = {"origin": "https://db.example", "sec-fetch-site": "same-origin"}
    for headers in ({"origin": "http://embedded"}, proxied, {**elsewhere, "content-type": "application/json"}, {}):
        assert docs.client.post(AT, headers=headers).status_code == 200


def test_collections_that_are_not_there(docs):
    for method, path in (("POST", ""), ("GET", ""), ("GET", "/a.snapshot"), ("DELETE", "/a.snapshot")):
        status, text = docs.error(method, f"/collections/nobody/snapshots{path}")
        assert (status, text) == (404, "Not found: Collection `nobody` doesn't exist!")


def test_a_key_that_only_reads_fetches_but_makes_and_recovers_none(database, serve):
    http = serve(database, Settings(read_only_api_key="reader", api_key="all"))
    http.client.headers["api-key"] = "all"
    fill(http)
    made = http.ok("POST", AT)
    reader = {"api-key": "reader"}
    assert http.client.get(AT, headers=reader).json()["result"] == [made]
    assert http.client.get(f"{AT}/{made['name']}", headers=reader).status_code == 200
    for method, path in (("POST", ""), ("DELETE", f"/{made['name']}"), ("PUT", "/recover"), ("POST", "/upload")):
        assert http.client.request(method, AT + path, headers=reader).status_code == 403

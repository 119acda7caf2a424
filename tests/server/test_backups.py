"""Backups over HTTP: a copy that is a database, and nothing outside of the folder that was named."""

import time

import pytest

import pqdb
from pqdb_server import Settings

from .conftest import fill


@pytest.fixture
def keeping(database, connect, tmp_path):
    return fill(connect(database, Settings(backups=tmp_path / "backups")))


def test_a_backup_is_a_database(keeping, tmp_path):
    assert keeping.ok("GET", "/pqdb/v1/backups") == {"backups": []}
    job = keeping.ok("POST", "/pqdb/v1/backup", {"name": "monday"})["job"]
    while (told := keeping.ok("GET", f"/pqdb/v1/jobs/{job}"))["status"] == "running":
        time.sleep(0.05)
    assert (told["status"], told["kind"], told["collection"], told["error"]) == ("done", "backup", "", None)
    keeping.ok("POST", "/collections/docs/points/delete?wait=true", {"points": [1]})
    assert keeping.ok("GET", "/pqdb/v1/backups") == {"backups": ["monday"]}
    status, text = keeping.error("POST", "/pqdb/v1/backup", {"name": "monday"})
    assert (status, text) == (409, "Wrong input: backup `monday` already exists!")
    with pqdb.open(tmp_path / "backups" / "monday", read_only=True) as copy:
        assert 1 in copy["docs"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "a\0b", "x" * 101, "ä"])
def test_names_that_could_be_paths_are_refused(keeping, tmp_path, name):
    status, text = keeping.error("POST", "/pqdb/v1/backup", {"name": name})
    assert status == 400
    assert "of a backup is not of 1 to 100 letters" in text
    assert not (tmp_path / "backups").exists()


def test_a_body_without_a_name_is_refused(keeping):
    assert keeping.error("POST", "/pqdb/v1/backup", {})[0] == 400
    assert keeping.error("POST", "/pqdb/v1/backup", {"name": "a", "path": "/etc"})[0] == 400


def test_a_key_that_only_reads_makes_none(database, serve, tmp_path):
    http = serve(database, Settings(backups=tmp_path / "backups", read_only_api_key="reader"))
    answer = http.client.post("/pqdb/v1/backup", json={"name": "x"}, headers={"api-key": "reader"})
    assert answer.status_code == 403

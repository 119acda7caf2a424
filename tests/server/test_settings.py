"""Settings: where they come from, what goes before what, what is refused, and what a log may show of them."""

import json

import pytest

import pqdb
from pqdb_server import serve
from pqdb_server.settings import Settings, load


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No `.env` of somebody's."""
    monkeypatch.chdir(tmp_path)


def test_argument_before_environment_before_dotenv_before_file(tmp_path, monkeypatch):
    file = tmp_path / "pqdb.toml"
    file.write_text('host = "1.1.1.1"\nport = 1\nthreads = 1\ngrace = 1\n')
    (tmp_path / ".env").write_text("PQDB_PORT=2\nPQDB_THREADS=2\nPQDB_GRACE=2\n")
    monkeypatch.setenv("PQDB_THREADS", "3")
    monkeypatch.setenv("PQDB_GRACE", "3")
    monkeypatch.setenv("PQDB_CONFIG", str(file))
    settings = load(grace=4)
    assert (settings.host, settings.port, settings.threads, settings.grace) == ("1.1.1.1", 2, 3, 4)


def test_keys_come_from_a_file(tmp_path):
    file = tmp_path / "pqdb.toml"
    file.write_text('api_key = "all"\n[[api_keys]]\nkey = "some"\ncollections = ["docs"]\naccess = "full"\n')
    settings = load(config=file)
    assert settings.api_key.get_secret_value() == "all"
    assert settings.api_keys[0].collections == ["docs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = ", "is not TOML"),
        ("prot = 1", "names 'prot', which is no setting"),
        ("port = 99999", "PQDB_PORT: Input should be less than or equal to 65535"),
        ('[[api_keys]]\nkey = "k"\ncollections = []\n', "PQDB_API_KEYS.0.COLLECTIONS"),
        ('tls_cert = "a.pem"', "tls_cert and tls_key come together"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(tmp_path, text, words):
    file = tmp_path / "pqdb.toml"
    file.write_text(text)
    with pytest.raises(pqdb.InputError) as caught:
        load(config=file)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(pqdb.InputError, match="cannot be read: No such file"):
        load(config=tmp_path / "none.toml")


def test_a_wrong_secret_is_not_repeated():
    with pytest.raises(pqdb.InputError) as caught:
        load(api_keys=[{"key": "hush-hush", "collections": [], "access": "sometimes"}])
    assert "hush" not in str(caught.value)


def test_what_is_shown_holds_no_secret():
    settings = Settings(
        api_key="hush-1", read_only_api_key="hush-2", api_keys=[{"key": "hush-3", "collections": ["docs"]}]
    )
    shown = json.dumps(settings.shown())
    assert "hush" not in shown
    assert settings.shown()["api_key"] == "set"
    assert settings.shown()["api_keys"] == ["read docs"]
    assert "hush" not in repr(settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "db.example.org"])
def test_strangers_need_a_key_unless_it_is_said_that_they_do_not(host):
    with pytest.raises(pqdb.InputError, match="there is no API key: set PQDB_API_KEY"):
        Settings(host=host).refuse_open_doors()
    Settings(host=host, api_key="k").refuse_open_doors()
    Settings(host=host, insecure_no_auth=True).refuse_open_doors()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_none(host):
    Settings(host=host).refuse_open_doors()


def test_a_memory_limit_is_how_the_database_is_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("PQDB_MEMORY_LIMIT", "512MB")
    assert load(path=tmp_path).opening == {"read_only": False, "memory_limit": "512MB"}
    monkeypatch.setenv("PQDB_MEMORY_LIMIT", "some")
    with pytest.raises(pqdb.InputError, match="memory_limit='some' is neither"):
        serve(tmp_path)

"""The container: both files parsed, every path there, its steps and health check run as written."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from pqdb_server import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@dataclass(frozen=True)
class Instruction:
    name: str
    text: str

    def words(self) -> list[str]:
        """The arguments: of an exec form, or split as a shell would."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


def instructions() -> list[Instruction]:
    """The Dockerfile, comments dropped and continued lines joined."""
    lines = (ROOT / "server/Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


DOCKERFILE = instructions()


def named(name: str) -> list[Instruction]:
    return [instruction for instruction in DOCKERFILE if instruction.name == name]


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for env in named("ENV") for word in env.words())


def copied() -> list[str]:
    return [source for copy in named("COPY") if not copy.text.startswith("--from") for source in copy.words()[:-1]]


def health_command() -> list[str]:
    [check] = named("HEALTHCHECK")
    return json.loads(check.text[check.text.index("CMD ") + 4 :])


def test_dockerfile_holds_only_known_instructions():
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {instruction.name for instruction in DOCKERFILE} == known


def test_every_copied_path_is_there_and_passes_the_ignore_file():
    kept = (ROOT / "server/Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in kept
    for path in copied():
        assert (ROOT / path).exists(), path
        assert f"!{path}" in kept


def test_what_the_package_is_built_from_is_copied():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *project["tool"]["setuptools"]["package-dir"].values(),
    }
    assert needed <= set(copied())


def test_image_is_slim_and_runs_as_nobody_special():
    assert all("-slim" in image.text for image in named("FROM"))
    [user] = named("USER")
    assert user.text not in ("root", "0")
    assert DOCKERFILE.index(user) > max(DOCKERFILE.index(run) for run in named("RUN"))


def test_environment_names_settings_there_are():
    settings = {f"PQDB_{name.upper()}" for name in Settings.model_fields} | {"PQDB_CACHE_DIR"}
    given = {name for name in environment() if name.startswith("PQDB_")}
    assert given <= settings
    assert given >= {"PQDB_PATH", "PQDB_HOST", "PQDB_PORT"}


def test_volumes_and_port_agree():
    env = environment()
    [volume], [port] = named("VOLUME"), named("EXPOSE")
    assert set(volume.words()) == {env["PQDB_PATH"], env["PQDB_CACHE_DIR"]}
    service = COMPOSE["services"]["pqdb"]
    mounts = dict(mount.split(":") for mount in service["volumes"])
    assert set(mounts.values()) == set(volume.words())
    assert set(mounts) == set(COMPOSE["volumes"])
    assert service["ports"] == [f"127.0.0.1:6333:{port.text}"]
    assert env["PQDB_PORT"] == port.text


def test_compose_builds_our_dockerfile():
    build = COMPOSE["services"]["pqdb"]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).samefile(ROOT / "server/Dockerfile")


def test_the_service_ends_within_the_grace_compose_gives_it():
    grace = COMPOSE["services"]["pqdb"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > Settings().grace


def test_health_check_waits_for_a_cold_start_and_kernels_are_warmed_at_start():
    [check], [command] = named("HEALTHCHECK"), named("CMD")
    assert int(re.search(r"--start-period=(\d+)s", check.text)[1]) >= 60
    assert "pqdb warmup" in command.text
    assert "exec python -m pqdb_server" in command.text, "the service must get the stop signal itself"
    assert not any("warmup" in run.text for run in named("RUN")), "the cache depends on the host's processor"


class Served:
    """`python -m pqdb_server` as the container starts it, on a free port."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self.port = found[1]
                return
        raise AssertionError("the service ended before it listened")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait(60)


def healthy(port: str) -> bool:
    command = [sys.executable, *health_command()[1:]]
    env = {**os.environ, "PQDB_PORT": port}
    return subprocess.run(command, env=env, capture_output=True, timeout=60, check=False).returncode == 0


def test_health_check_follows_a_really_served_process(tmp_path):
    env = {**os.environ, "PQDB_PATH": str(tmp_path / "data"), "PQDB_HOST": "127.0.0.1", "PQDB_PORT": "0"}
    served = Served([sys.executable, "-m", "pqdb_server"], env)
    try:
        assert healthy(served.port)
        body = {"vectors": {"size": 4, "distance": "Dot"}}
        url = f"http://127.0.0.1:{served.port}/collections/docs"
        assert httpx.put(url, json=body, timeout=60).json()["result"] is True
    finally:
        code = served.stop()
    assert code in (0, -signal.SIGTERM)
    assert not healthy(served.port)
    assert (tmp_path / "data" / "catalog").is_dir()


def test_a_folder_that_is_no_database_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database")
    ran = subprocess.run(
        [sys.executable, "-m", "pqdb_server"],
        env={**os.environ, "PQDB_PATH": str(tmp_path), "PQDB_PORT": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"Error: {tmp_path} is not a pqdb database")
    assert ran.stderr.count("\n") == 1


@pytest.mark.long
def test_install_and_start_steps_work_in_an_empty_environment(tmp_path):
    source, home = tmp_path / "src", tmp_path / "home"
    source.mkdir()
    for path in copied():
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
        copy(ROOT / path, source / path)
    install = next(run.text for run in named("RUN") if "pip install" in run.text)
    env = {"PATH": os.environ["PATH"], "HOME": str(home)} | {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))
    }
    steps = install.replace("/opt/pqdb", str(tmp_path / "opt"))
    subprocess.run(["sh", "-ec", steps], cwd=source, env=env, check=True, timeout=900)
    env |= {name: str(tmp_path / value.strip("/")) for name, value in environment().items() if value.startswith("/")}
    env |= {
        "PATH": f"{tmp_path / 'opt/bin'}:{os.environ['PATH']}",
        "PQDB_HOST": "127.0.0.1",
        "PQDB_PORT": "0",
    }
    [command] = named("CMD")
    served = Served(command.words(), env)
    try:
        assert healthy(served.port)
    finally:
        served.stop()
    assert any((tmp_path / "cache").iterdir()), "the warm-up keeps what it compiled"


@pytest.mark.skipif(not os.environ.get("PQDB_TEST_DOCKER"), reason="needs a Docker engine: make test-docker")
def test_docker_builds_starts_and_becomes_healthy():
    compose = ["docker", "compose", "--project-name", "pqdb-test"]
    try:
        up = [*compose, "up", "--build", "--detach", "--wait", "--wait-timeout", "300"]
        subprocess.run(up, cwd=ROOT, check=True, timeout=1800)
        assert httpx.get("http://127.0.0.1:6333/", timeout=10).json()["title"].startswith("pqdb")
    finally:
        subprocess.run([*compose, "down", "--volumes"], cwd=ROOT, check=True, timeout=300)

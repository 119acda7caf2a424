"""What the service can be told from outside: arguments, environment variables, a `.env` file, a TOML file."""

from __future__ import annotations

import os
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

import pqdb

MEGABYTE = 1024 * 1024
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class ScopedKey(BaseModel):
    """A key that opens some collections only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: SecretStr = Field(min_length=1)
    collections: list[str] = Field(min_length=1, description="Names or aliases of collections.")
    access: Literal["full", "read"] = "read"


class Settings(BaseSettings):
    """Settings of one service; every field can be given as `PQDB_<NAME>`.

    An argument goes before the environment, that before `.env`, that before the file named by `config`.
    """

    model_config = SettingsConfigDict(env_prefix="PQDB_", env_file=".env", extra="ignore", frozen=True)

    config: Path | None = Field(None, description="A TOML file with any of these settings.")
    path: Path = Field(Path("data"), description="The folder of the database; made when it is not there.")
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(6333, ge=0, le=65535, description="The port to listen on; 0 lets the system choose.")
    workers: Count = Field(1, description="How many processes serve the one database.")
    read_only: bool = Field(False, description="Open the database read-only: searches work, writes refuse.")
    memory_limit: str | None = Field(None, description="How much memory upkeep and searches may take, such as 512MB.")
    backups: Path | None = Field(None, description="The folder that backups are made in; without it there are none.")
    snapshots: Path | None = Field(None, description="The folder of snapshots; without it, one in the database's own.")
    compat_version: str = Field("1.19.0", description="The Qdrant version whose REST interface is spoken.")

    api_key: SecretStr | None = Field(None, description="The key that opens everything.")
    read_only_api_key: SecretStr | None = Field(None, description="A key that opens all reading.")
    api_keys: list[ScopedKey] = Field([], description="Keys for some collections each.")
    insecure_no_auth: bool = Field(False, description="Listen beyond this machine without any key.")
    tls_cert: Path | None = Field(None, description="A certificate chain in PEM: serve HTTPS.")
    tls_key: Path | None = Field(None, description="The certificate's private key in PEM.")

    body_limit_mb: Count = Field(32, description="The largest request body, in MiB.")
    snapshot_limit_mb: Count = Field(10_240, description="The largest snapshot that may be uploaded, in MiB.")
    batch_limit: Count = Field(100_000, description="The most points one request writes, or gives back by id.")
    queries_limit: Count = Field(1_000, description="The most queries one batch asks.")
    warm_up: bool = Field(True, description="Load the kernels of cosine collections at the start.")
    threads: Count = Field(40, description="How many reads may run at once, and how many changes beside them.")
    queue_limit: Count = Field(1_000, description="The most requests at once; beyond, the answer is 429.")
    header_timeout: Seconds = Field(20.0, description="Seconds a connection may take to send a request's head.")
    keep_alive: Count = Field(75, description="Seconds an idle connection is kept for the next request.")
    body_timeout: Seconds = Field(60.0, description="Seconds a request may take to send its body.")
    grace: int = Field(30, ge=0, description="Seconds for what is in flight when the service is asked to stop.")

    log_level: Literal["critical", "error", "warning", "info", "debug", "trace"] = Field(
        "info", description="The least grave messages to log."
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines for people, or one JSON object a line.")
    log_requests: Literal["all", "failures", "none"] = Field("failures", description="Which requests get a line.")
    slow_query_ms: float = Field(500.0, ge=0, description="Queries that take longer are explained in the log; 0: none.")
    recall_share: float = Field(0.01, ge=0, le=1, description="The share of queries answered exactly again, when idle.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the base class's signature)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        given = init_settings().get("config") or os.environ.get("PQDB_CONFIG")
        above = (init_settings, env_settings, dotenv_settings)
        return above if given is None else (*above, InitSettingsSource(settings_cls, _of_file(cls, Path(given))))

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key come together")
        return self

    @property
    def body_limit(self) -> int:
        """The largest request body in bytes."""
        return self.body_limit_mb * MEGABYTE

    @property
    def snapshot_limit(self) -> int:
        """The largest uploaded snapshot in bytes."""
        return self.snapshot_limit_mb * MEGABYTE

    @property
    def opening(self) -> dict[str, Any]:
        """How to open the database."""
        return {"read_only": self.read_only, "memory_limit": self.memory_limit}

    @property
    def has_keys(self) -> bool:
        """Whether callers must show a key."""
        return bool(self.api_key or self.read_only_api_key or self.api_keys)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def refuse_open_doors(self) -> None:
        """Raise InputError where strangers could reach the service without a key, and nobody said they may."""
        if not (self.has_keys or self.is_local or self.insecure_no_auth):
            raise pqdb.InputError(
                f"host {self.host} can be reached from other machines, and there is no API key: set PQDB_API_KEY, "
                "or PQDB_INSECURE_NO_AUTH=true where something else keeps strangers out"
            )

    def shown(self) -> dict[str, object]:
        """All settings for a log: secrets only say that they are there."""
        values = self.model_dump(mode="json")
        values["api_keys"] = [f"{key.access} {', '.join(key.collections)}" for key in self.api_keys]
        for name in ("api_key", "read_only_api_key"):
            values[name] = "set" if getattr(self, name) else "not set"
        return values


def load(**given: Any) -> Settings:
    """Settings from arguments and all sources. Raises InputError, a sentence that names the setting."""
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]).upper()
        reason = first["msg"].removeprefix("Value error, ")
        raise pqdb.InputError(f"PQDB_{name}: {reason}" if name else reason) from None


def _of_file(kind: type[Settings], path: Path) -> dict[str, Any]:
    """The settings of a TOML file. Raises InputError where it cannot be read or names what is no setting."""
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise pqdb.InputError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise pqdb.InputError(f"the settings file {path} is not TOML: {error}") from None
    for name in values:
        if name not in kind.model_fields or name == "config":
            raise pqdb.InputError(f"the settings file {path} names {name!r}, which is no setting")
    return values

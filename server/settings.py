"""What the service can be told from outside: environment variables, a `.env` file, or arguments."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MEGABYTE = 1024 * 1024


class Settings(BaseSettings):
    """Settings of one service process; every field can be given as `PQDB_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="PQDB_", env_file=".env", extra="ignore", frozen=True)

    path: Path = Field(Path("data"), description="The folder of the database; made when it is not there.")
    host: str = Field("127.0.0.1", description="The address to listen on.")
    port: int = Field(6333, ge=0, le=65535, description="The port to listen on; 0 lets the system choose.")
    read_only: bool = Field(False, description="Open the database read-only: searches work, writes refuse.")
    body_limit_mb: int = Field(32, ge=1, description="The largest request body, in MiB.")
    threads: int = Field(40, ge=1, description="How many operations of the engine may run at once.")
    compat_version: str = Field("1.19.0", description="The Qdrant version whose REST interface is spoken.")
    log_level: str = Field("info", description="uvicorn's log level.")

    @property
    def body_limit(self) -> int:
        """The largest request body in bytes."""
        return self.body_limit_mb * MEGABYTE

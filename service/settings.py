"""All settings, read from ``MYOSCREEN_*`` variables and ``myoscreen.toml``.

Built at the doors and handed inward as plain values. This is the only place that looks at the
environment.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import ConfigurationError

PREFIX = "MYOSCREEN_"
OutputName = Literal["SEG", "SR", "SC", "PDF"]
AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e ]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Peer(BaseModel):
    """One DICOM node that may send to us, or that results are sent to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    ae_title: AeTitle
    host: str = Field(min_length=1)
    #: Absent: never contacted.
    port: Port | None = None
    may_send: bool = True
    unwanted: Literal["refuse", "discard"] = "refuse"
    outputs: tuple[OutputName, ...] = ()
    profile: Literal["binary"] = "binary"
    release: Literal["automatic"] = "automatic"
    flags: bool = False
    language: Literal["en"] = "en"

    @model_validator(mode="after")
    def _outputs_need_a_port(self) -> Self:
        if self.outputs and self.port is None:
            raise ValueError(f"peer {self.name!r} is to get outputs but has no port")
        return self


class Settings(BaseSettings):
    """The whole configuration of one installation."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    home: Path = Path.home() / ".myoscreen"
    #: The settings file; ``myoscreen.toml`` in HOME when absent.
    config: Path | None = None
    #: SQLite below HOME when absent.
    database_url: str | None = None
    #: File whose content is the database URL (a container secret); wins over ``database_url``.
    database_url_file: Path | None = None
    #: Celery's in-memory transport when absent (embedded: one worker process).
    broker_url: str = "memory://"
    #: File whose content is the broker URL (a container secret); wins over ``broker_url``.
    broker_url_file: Path | None = None

    ae_title: AeTitle = "MYOSCREEN"
    dicom_bind: str = "127.0.0.1"
    dicom_port: Port = 11112
    #: Whether programs of this machine may send without being a listed peer; absent: while no peer is
    #: listed at all.
    loopback_may_send: bool | None = None
    max_associations: int = Field(default=20, ge=1)
    http_bind: str = "127.0.0.1"
    http_port: Port = 8080
    #: Set when the dashboard is reached by HTTPS, so that cookies are marked Secure.
    https: bool = False

    #: A series is complete when nothing arrived for this long and its geometry has no hole.
    quiet_seconds: float = Field(default=60.0, ge=0)
    #: A series is taken as it is after this long, holes or not.
    hard_cap_seconds: float = Field(default=1800.0, gt=0)
    sweep_seconds: float = Field(default=0.5, gt=0)
    #: A RUNNING analysis whose heartbeat stood still for this long is given to another worker.
    lease_seconds: float = Field(default=60.0, gt=0)
    max_attempts: int = Field(default=3, ge=1)
    #: Analyses that one worker process runs at a time.
    analysis_slots: int = Field(default=1, ge=1)
    delivery_attempts: int = Field(default=20, ge=1)
    delivery_backoff_seconds: float = Field(default=5.0, gt=0)
    delivery_backoff_max_seconds: float = Field(default=900.0, gt=0)
    #: Free space below which images are refused with 0xA700.
    spool_min_free_mb: int = Field(default=500, ge=0)

    #: Folder with ``NAME/card.toml`` and ``norms/``; the bundled one when absent.
    models_dir: Path | None = None
    model: str = "paraspinal"
    #: Ids of the norm tables to score with.
    norms: Annotated[tuple[str, ...], NoDecode] = (
        "provisional-fsf",
        "demonstration-imat",
        "demonstration-lmm",
    )
    policy: str = "default"
    #: In order of preference; empty means the best that the card admits.
    execution_providers: Annotated[tuple[str, ...], NoDecode] = ()
    #: Demanded precision; empty means the fastest that the card admits.
    precision: Literal["", "fp32", "tf32", "fp16", "bf16"] = ""
    inference_threads: int = Field(default=0, ge=0)
    #: Site codes that appear in the objects.
    institution_name: str = ""

    session_idle_minutes: int = Field(default=15, ge=1)
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    peer: tuple[Peer, ...] = ()

    @field_validator("norms", "execution_providers", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        """Accept ``a,b`` from the environment beside a list from TOML."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _peers_are_distinct(self) -> Self:
        names = [peer.name for peer in self.peer]
        if len(set(names)) != len(names):
            raise ValueError("two peers have the same name")
        return self

    @property
    def resolved_database_url(self) -> str:
        """The database that is really used."""
        return (
            _secret(self.database_url_file) or self.database_url or f"sqlite:///{self.home / 'myoscreen.db'}"
        )

    @property
    def resolved_broker_url(self) -> str:
        """The broker that is really used."""
        return _secret(self.broker_url_file) or self.broker_url

    @property
    def spool_dir(self) -> Path:
        """Where received images lie."""
        return self.home / "spool"

    @property
    def results_dir(self) -> Path:
        """Where results lie."""
        return self.home / "results"

    @property
    def embedded_broker(self) -> bool:
        """True when the queue lives inside the one worker process."""
        return self.resolved_broker_url.startswith("memory:")


def load(**overrides: Any) -> Settings:
    """Read the settings: ``overrides`` win over the environment, which wins over the file.

    Raises ConfigurationError naming everything that is wrong.
    """
    home = Path(
        overrides.get("home") or os.environ.get(PREFIX + "HOME") or Settings.model_fields["home"].default
    )
    named = overrides.get("config") or os.environ.get(PREFIX + "CONFIG")
    path = Path(named) if named else home / "myoscreen.toml"
    values: dict[str, Any] = {}
    if named and not path.is_file():
        raise ConfigurationError(f"The settings file {path} does not exist.")
    try:
        if path.is_file():
            values = tomllib.loads(path.read_text("utf-8"))
        from_file = {key: value for key, value in _lower(values).items() if not _in_environment(key)}
        return Settings(**{**from_file, **overrides})
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from error


def _secret(path: Path | None) -> str | None:
    """Content of a secret file without its line end; None when no file is named."""
    if path is None:
        return None
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"The secret file {path} cannot be read.") from error


def _lower(values: dict[str, Any]) -> dict[str, Any]:
    """Let the file use the names of the variables: HOME, home and MYOSCREEN_HOME are one."""
    return {key.removeprefix(PREFIX).lower(): value for key, value in values.items()}


def _in_environment(key: str) -> bool:
    """Whether the environment sets this too, and so wins over the file."""
    return PREFIX + key.upper() in os.environ


def _explain(error: ValidationError) -> str:
    """One line for each thing that is wrong, without echoing values (they may be secrets)."""
    lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return "Settings: " + "; ".join(lines)


def child_environment(**changes: str) -> dict[str, str]:
    """The environment of a child process: this one's, with settings (by field name) changed."""
    return {**os.environ, **{PREFIX + name.upper(): value for name, value in changes.items()}}

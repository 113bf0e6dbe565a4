"""All settings, read from ``MYOSCREEN_*`` variables and ``myoscreen.toml``.

Built at the doors and handed inward as plain values. This is the only place that looks at the
environment.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import ConfigurationError
from service.settings.environment import SECRET_STARTS, SECRET_WORDS, bare_environment, child_environment
from service.settings.peers import Peer
from service.settings.sections import Audit, AuditSyslog, Notify, Oidc, Tracing
from service.settings.values import (
    LOOPBACK,
    PREFIX,
    VIEWER_FIELD,
    AeTitle,
    Network,
    OutputName,
    Port,
    ViewerUrl,
)

__all__ = [
    "LOOPBACK",
    "PREFIX",
    "SECRET_STARTS",
    "SECRET_WORDS",
    "VIEWER_FIELD",
    "AeTitle",
    "Audit",
    "AuditSyslog",
    "Network",
    "Notify",
    "Oidc",
    "OutputName",
    "Peer",
    "Port",
    "Settings",
    "Tracing",
    "ViewerUrl",
    "bare_environment",
    "child_environment",
    "load",
]


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
    #: A caller that says nothing for this long is cut off.
    association_idle_seconds: float = Field(default=60.0, gt=0)
    #: Larger images are refused. Chosen by us: above any multi-frame image that was seen.
    max_instance_mb: int = Field(default=2048, ge=1)
    #: DICOM by TLS: our certificate (with the chain below the authority), its key, and the authorities that
    #: we trust. All three, or none.
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    #: File whose content is the password of the key.
    tls_key_password_file: Path | None = None
    tls_ca: Path | None = None
    #: Lists of revoked certificates, one of each authority.
    tls_crl: Path | None = None
    tls_port: Port = 2762
    tls_min_version: Literal["1.2", "1.3"] = "1.2"
    #: Whether the port without TLS is open; absent: only while TLS is not configured.
    dicom_plain: bool | None = None
    http_bind: str = "127.0.0.1"
    http_port: Port = 8080
    #: HTTPS by this process itself: certificate with its chain, key, and the key's password. Absent: HTTP.
    http_tls_certificate: Path | None = None
    http_tls_key: Path | None = None
    http_tls_key_password_file: Path | None = None
    #: Set when the dashboard is reached by HTTPS through a proxy, so that cookies are marked Secure.
    https: bool = False
    #: Addresses or networks of proxies whose word on the caller's address is taken.
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()

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
    #: The process that works on an analysis is ended after this long. Chosen by us: the network takes 15 s
    #: for 200 slices of 320 x 260 on two processor cores (`make bench`); this is a hundred times that.
    analysis_deadline_seconds: float = Field(default=1800.0, gt=0)
    #: ... or when it holds more memory than this (MiB, the network included). Chosen by us: the same series
    #: held 1.03 GB (`make bench`); this is eight times that.
    analysis_memory_mb: int = Field(default=8192, ge=256)
    delivery_attempts: int = Field(default=20, ge=1)
    delivery_backoff_seconds: float = Field(default=5.0, gt=0)
    delivery_backoff_max_seconds: float = Field(default=900.0, gt=0, le=43200)
    #: After so many failures in a row to reach a peer it is left alone, and probed after the first time,
    #: then with doubled waits up to the longest.
    circuit_failures: int = Field(default=5, ge=1)
    circuit_probe_seconds: float = Field(default=30.0, gt=0)
    circuit_probe_max_seconds: float = Field(default=300.0, gt=0, le=43200)
    #: How long a peer may take to report on a storage commitment before it is asked again.
    confirm_seconds: float = Field(default=3600.0, gt=0, le=43200)
    confirm_attempts: int = Field(default=6, ge=1)
    #: Free space below which images are refused with 0xA700.
    spool_min_free_mb: int = Field(default=500, ge=0)
    #: Free space from which they are taken again; absent: twice ``spool_min_free_mb``.
    spool_resume_free_mb: int | None = Field(default=None, ge=0)

    #: Days that received images, files of results and rows are kept after the last thing that happened to
    #: a study, once everything about it is finished; absent: for ever.
    keep_pixels_days: float | None = Field(default=None, ge=0)
    keep_results_days: float | None = Field(default=None, ge=0)
    keep_rows_days: float | None = Field(default=None, ge=0)
    #: What the pictures of all slices of one result may take; 0: none are kept. Chosen by us: 200 slices of
    #: 512 x 512 take 30 MB, and larger ones are shown smaller.
    slice_pictures_mb: int = Field(default=64, ge=0)
    #: Address of a study in the hospital's viewer, for a link on the page of an analysis.
    viewer_url: ViewerUrl | None = None

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
    #: Which of the eligible images are measured: name of a file in ``rules/``, or a path to one.
    rules: str = Field(default="default", min_length=1, max_length=512)
    #: Whether network, norms, policy and rules change only after another administrator confirmed it.
    activation_second_person: bool = False
    #: In order of preference; empty means the best that the card admits.
    execution_providers: Annotated[tuple[str, ...], NoDecode] = ()
    #: Demanded precision; empty means the fastest that the card admits.
    precision: Literal["", "fp32", "tf32", "fp16", "bf16"] = ""
    inference_threads: int = Field(default=0, ge=0)
    #: Site codes that appear in the objects.
    institution_name: str = ""

    #: Where heads of the audit record are written, and the key that signs them; absent: HOME/audit. Best on
    #: another machine's disk, to which this one can only add.
    audit_heads: Path | None = None
    audit_key_file: Path | None = None
    #: Where it is sent besides; absent: nowhere.
    audit: Audit | None = None

    session_idle_minutes: int = Field(default=15, ge=1)
    #: Whether somebody whose role shows no results may open them for a while by giving a reason, which is
    #: recorded, listed and told. The time is chosen by us: long enough to look something up.
    break_glass: bool = False
    break_glass_minutes: int = Field(default=30, ge=1, le=240)
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    #: When the self-test runs by itself, as HH:MM in UTC; absent: never.
    self_test_at: str | None = Field(default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    #: First month that drift is judged by, as YYYY-MM: the month of a known change; absent: all months.
    drift_since: str | None = Field(default=None, pattern=r"^(19|20)\d\d-(0[1-9]|1[0-2])$")

    peer: tuple[Peer, ...] = ()
    notify: tuple[Notify, ...] = ()
    #: Where traces go; absent: none are made.
    tracing: Tracing | None = None
    #: Login at an OpenID provider; absent: by password alone.
    oidc: Oidc | None = None

    @field_validator("norms", "execution_providers", "trusted_proxies", mode="before")
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
        told = [each.name for each in self.notify]
        if len(set(told)) != len(told):
            raise ValueError("two recipients of notifications have the same name")
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        three = (self.tls_certificate, self.tls_key, self.tls_ca)
        if any(three) and not all(three):
            raise ValueError("tls_certificate, tls_key and tls_ca belong together")
        if not any(three) and any(peer.tls for peer in self.peer):
            raise ValueError("a peer speaks TLS, which needs tls_certificate, tls_key and tls_ca")
        if not any(three) and self.dicom_plain is False:
            raise ValueError("dicom_plain = false leaves no port open without tls_certificate")
        return self

    @model_validator(mode="after")
    def _http_tls_is_whole(self) -> Self:
        if (self.http_tls_certificate is None) != (self.http_tls_key is None):
            raise ValueError("http_tls_certificate and http_tls_key belong together")
        return self

    @model_validator(mode="after")
    def _rows_outlive_files(self) -> Self:
        if self.keep_rows_days is not None and (
            self.keep_pixels_days is None or self.keep_results_days is None
        ):
            raise ValueError("keep_rows_days needs keep_pixels_days and keep_results_days: rows go last")
        return self

    @property
    def keep_days(self) -> dict[str, float | None]:
        """How many days each kind of thing is kept; None: for ever."""
        return {
            "pixels": self.keep_pixels_days,
            "results": self.keep_results_days,
            "rows": self.keep_rows_days,
        }

    @property
    def activation_site(self) -> dict[str, Any]:
        """What is activated where nobody activated anything else, and on which terms."""
        return {
            "models_dir": self.models_dir,
            "model": self.model,
            "norms": self.norms,
            "policy": self.policy,
            "rules": self.rules,
            "second_person": self.activation_second_person,
            "providers": self.execution_providers,
            "precision": self.precision,
            "threads": self.inference_threads,
            "memory_mb": self.analysis_memory_mb,
        }

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
    def audit_syslog(self) -> AuditSyslog | None:
        """The collector of audit messages; None where there is none."""
        return None if self.audit is None else self.audit.syslog

    @property
    def tracing_target(self) -> dict[str, Any] | None:
        """Where traces go; None where none are made."""
        return None if self.tracing is None else self.tracing.model_dump()

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """Every file with a secret that these settings name."""
        named = (
            self.database_url_file,
            self.broker_url_file,
            self.audit_key_file,
            self.tls_key,
            self.tls_key_password_file,
            self.http_tls_key,
            self.http_tls_key_password_file,
            *(peer.authorization_file for peer in self.peer),
            *(each.smtp_password_file for each in self.notify),
            *(each.webhook_secret_file for each in self.notify),
            None if self.audit_syslog is None else self.audit_syslog.key,
            None if self.tracing is None else self.tracing.authorization_file,
            None if self.oidc is None else self.oidc.client_secret_file,
        )
        return tuple(path for path in named if path is not None)

    @property
    def reached_by_https(self) -> bool:
        """Whether browsers speak HTTPS, with us or with a proxy before us."""
        return self.https or self.http_tls_certificate is not None

    @property
    def plain_listener(self) -> bool:
        """Whether DICOM without TLS is listened for."""
        return self.tls_certificate is None if self.dicom_plain is None else self.dicom_plain

    @property
    def tls_files(self) -> dict[str, Any] | None:
        """Files and terms of DICOM by TLS, None where it is not configured."""
        if self.tls_certificate is None:
            return None
        return {
            "certificate": self.tls_certificate,
            "key": self.tls_key,
            "ca": self.tls_ca,
            "key_password": self.tls_key_password_file,
            "crl": self.tls_crl,
            "minimum": self.tls_min_version,
        }

    @property
    def resume_free_mb(self) -> int:
        """Free space from which images are taken again after a full disk."""
        asked = self.spool_resume_free_mb
        return max(self.spool_min_free_mb, 2 * self.spool_min_free_mb if asked is None else asked)

    @property
    def spool_dir(self) -> Path:
        """Where received images lie."""
        return self.home / "spool"

    @property
    def results_dir(self) -> Path:
        """Where results lie."""
        return self.home / "results"

    @property
    def audit_dir(self) -> Path:
        """Where heads of the audit record and their key lie."""
        return self.home / "audit"

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

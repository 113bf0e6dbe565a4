"""The other tables of the file: who is told, who lets people in, where record and traces go."""

from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from service.settings.values import LOOPBACK, MailBox, Port, RoleName, SignatureName, WebUrl, Words


class Notify(BaseModel):
    """Somebody who is told of trouble, by e-mail or by a program that listens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    language: Literal["en", "de"] = "en"
    #: From which severity on.
    least: Literal["warning", "critical"] = "warning"
    #: Trouble that passes within this time is not told.
    after_seconds: float = Field(default=120.0, ge=0, le=86400)
    #: When a daily report is sent, as HH:MM in UTC; absent: none.
    digest: str | None = Field(default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    #: Root of the dashboard, for a link in the messages.
    link: WebUrl | None = None
    mail_to: tuple[MailBox, ...] = ()
    mail_from: MailBox | None = None
    smtp_host: str | None = Field(default=None, min_length=1)
    smtp_port: Port = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password_file: Path | None = None
    webhook_url: WebUrl | None = None
    #: File with the secret that signs.
    webhook_secret_file: Path | None = None
    #: Certificates that are trusted instead of those of the system.
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        mail = (bool(self.mail_to), self.mail_from is not None, self.smtp_host is not None)
        hook = (self.webhook_url is not None, self.webhook_secret_file is not None)
        if any(mail) == any(hook) or (any(mail) and not all(mail)) or (any(hook) and not all(hook)):
            ways = "mail_to, mail_from and smtp_host, or webhook_url and webhook_secret_file"
            raise ValueError(f"{self.name!r} needs {ways}")
        return self

    @model_validator(mode="after")
    def _secrets_are_not_sent_in_the_open(self) -> Self:
        if bool(self.smtp_user) != (self.smtp_password_file is not None):
            raise ValueError("smtp_user and smtp_password_file belong together")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("a password is not sent without TLS: smtp_security")
        host = urlsplit(self.webhook_url or "https:").hostname
        if str(self.webhook_url or "").startswith("http:") and host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("webhook_url must be https:// unless it is on this machine")
        return self


class Oidc(BaseModel):
    """An OpenID provider at which people log in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Letter by letter as its tokens say it.
    issuer: WebUrl
    client_id: str = Field(min_length=1, max_length=256)
    #: File with the client's secret; absent: a public client.
    client_secret_file: Path | None = None
    #: Root of the dashboard as browsers reach it: the provider sends people back to it.
    url: WebUrl
    #: What stands on the button, after "Log in with".
    label: str = Field(default="OpenID", min_length=1, max_length=40)
    scopes: Words = ("openid", "profile")
    #: Where the roles or groups stand in the token: a claim, or the way into one.
    role_claim: Words = ("groups",)
    name_claim: Words = ("preferred_username",)
    #: Which values of that claim give which role; the first role in this order counts.
    roles: dict[RoleName, Words] = Field(min_length=1)
    algorithms: tuple[SignatureName, ...] = ("RS256", "PS256", "ES256")
    #: Certificates that are trusted instead of those of the system.
    ca_file: Path | None = None
    #: Whether people can log in by password, too; false takes that form away.
    local_form: bool = True

    @field_validator("scopes", "role_claim", "name_claim", mode="before")
    @classmethod
    def _one_word(cls, value: Any) -> Any:
        """Accept one word without brackets."""
        return (value,) if isinstance(value, str) else value

    @field_validator("roles", mode="before")
    @classmethod
    def _one_value(cls, value: Any) -> Any:
        """Accept one value without brackets."""
        if not isinstance(value, dict):
            return value
        return {role: (each,) if isinstance(each, str) else each for role, each in value.items()}

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        for name, address in (("issuer", self.issuer), ("url", self.url)):
            if address.startswith("http:") and urlsplit(address).hostname not in LOOPBACK:
                raise ValueError(f"oidc.{name} must be https:// unless it is on this machine")
        if "openid" not in self.scopes:
            raise ValueError("oidc.scopes must hold openid")
        if not self.role_claim or not self.name_claim or not self.algorithms or not all(self.roles.values()):
            raise ValueError("oidc.role_claim, name_claim, algorithms and each of roles must hold something")
        return self


class AuditSyslog(BaseModel):
    """A collector of DICOM audit messages: syslog by TLS (RFC 5425)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1, max_length=255)
    port: Port = 6514
    #: Certificates that are trusted instead of those of the system.
    ca: Path | None = None
    #: What we show of ourselves, and its key; most collectors ask for it.
    cert: Path | None = None
    key: Path | None = None
    #: RFC 5424 6.2.1; PS3.15 A.6 asks for 10 (security and authorization).
    facility: int = Field(default=10, ge=0, le=23)
    app_name: str = Field(default="myoscreen", pattern=r"^[\x21-\x7e]{1,48}$")
    #: What the messages say of a patient: a keyed hash of the ID, or ID and name as DICOM has it.
    patients: Literal["hashed", "named"] = "hashed"

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        return self


class Audit(BaseModel):
    """Where the audit record goes besides the database."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    syslog: AuditSyslog | None = None


class Tracing(BaseModel):
    """A receiver of OpenTelemetry traces by OTLP/HTTP."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: With its path, as ``https://collector.example:4318/v1/traces``.
    endpoint: WebUrl
    #: File with the content of the header Authorization.
    authorization_file: Path | None = None
    #: Certificates that are trusted instead of those of the system.
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _secret_is_not_sent_in_the_open(self) -> Self:
        parts = urlsplit(self.endpoint)
        if self.authorization_file is not None and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("tracing.endpoint must be https:// to be sent a secret")
        return self

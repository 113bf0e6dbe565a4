"""Who may come in."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.tables.base import Base, BigId


class User(Base):
    """A person who may log in."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    #: Empty where somebody logs in at a provider, and so never by a password here.
    password_hash: Mapped[str] = mapped_column(String(256))
    #: Who somebody is at an OpenID provider (OIDC Core 2: iss and sub together); None for a local account.
    issuer: Mapped[str | None] = mapped_column(String(512))
    subject: Mapped[str | None] = mapped_column(String(255))
    #: viewer, operator, admin or auditor.
    role: Mapped[str] = mapped_column(String(16))
    disabled: Mapped[bool] = mapped_column(default=False)
    #: The password was given out once and must be changed at the next login.
    must_change: Mapped[bool] = mapped_column(default=False)
    failed_logins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = (Index("ix_users_issuer_subject", "issuer", "subject", unique=True),)


class WebSession(Base):
    """One login in one browser; the cookie holds a secret whose digest stands here."""

    __tablename__ = "web_sessions"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    #: The row of ``openings`` by which results are open in this login, None where they are not.
    opening_id: Mapped[int | None] = mapped_column(BigId)
    user: Mapped[User] = relationship()


class ProviderAnswer(Base):
    """An answer of the provider that was used for a login, so that it is not used a second time."""

    __tablename__ = "provider_answers"

    state_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)


class Opening(Base):
    """Results that somebody opened for a limited time although the role does not show them."""

    __tablename__ = "openings"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    actor: Mapped[str] = mapped_column(String(80))
    role: Mapped[str] = mapped_column(String(16))
    #: What the person wrote; it stands here alone.
    reason: Mapped[str] = mapped_column(String(500))
    opened_at: Mapped[datetime] = mapped_column(index=True)
    until: Mapped[datetime]
    #: When it was ended before its time; None: it was not.
    ended_at: Mapped[datetime | None]


class ApiKey(Base):
    """A key for a program; only its digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    key_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    #: From when on it lets nobody in; None: never by itself.
    expires_at: Mapped[datetime | None]

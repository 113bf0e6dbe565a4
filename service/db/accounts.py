"""What an administrator may do to accounts on the page; whoever has a shell on the machine may do more."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from sqlalchemy.orm import Session

from service.db import people
from service.db.people import Role
from service.errors import InvalidRequest


class _Named(TypedDict):
    now: datetime
    actor: str
    address: str | None


@dataclass(frozen=True, kw_only=True)
class Administrator:
    """Who changes accounts, when, and from where."""

    #: The user name, as in the audit.
    actor: str
    now: datetime
    #: Whether what is put into force needs a second administrator: then no administrator makes one here,
    #: or takes over the account of one, for that would be the second person.
    second_person: bool
    address: str | None = None

    @property
    def named(self) -> _Named:
        """As the audit record names who did it."""
        return {"now": self.now, "actor": self.actor, "address": self.address}


def add_user(session: Session, by: Administrator, *, name: str, role: Role) -> str:
    """Make a user and return a one-time password. Raises InvalidRequest."""
    _require_free_to_give(by, role)
    return people.add_user(session, name=name, role=role, **by.named)


def change_role(session: Session, by: Administrator, *, name: str, role: Role) -> None:
    """Give another user another role. Raises InvalidRequest."""
    _require_other(by, name)
    _require_free_to_give(by, role)
    people.change_role(session, name=name, role=role, **by.named)


def reset_password(session: Session, by: Administrator, *, name: str) -> str:
    """Give another user a new one-time password, and let a disabled one in again. Raises InvalidRequest."""
    _require_other(by, name)
    found = {user.name: user for user in people.list_users(session)}.get(name)
    if found is not None:
        _require_free_to_give(by, found.role)
    return people.reset_password(session, name=name, **by.named)


def disable_user(session: Session, by: Administrator, *, name: str) -> None:
    """Shut another user out, now; so one administrator is always left. Raises InvalidRequest."""
    _require_other(by, name)
    people.disable_user(session, name=name, **by.named)


def enable_user(session: Session, by: Administrator, *, name: str) -> None:
    """Let a disabled user in again. Raises InvalidRequest."""
    people.enable_user(session, name=name, **by.named)


def _require_other(by: Administrator, name: str) -> None:
    if name == by.actor:
        raise InvalidRequest(
            "Nobody shuts out or changes the own account here; the own password changes on the page Account.",
            reason="own_account",
        )


def _require_free_to_give(by: Administrator, role: Role) -> None:
    if by.second_person and role is Role.ADMIN:
        raise InvalidRequest(
            "Two administrators are asked for a change here, so none makes or takes over the account of "
            "another on this page; myoscreen user on the machine does.",
            reason="administrator_by_shell",
        )

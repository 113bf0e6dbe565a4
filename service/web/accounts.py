"""Who may log in and which programs may ask: the page of administrators. No key makes accounts or keys."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Form, Request, Response

from service.db import accounts, people
from service.db.accounts import Administrator
from service.db.people import LONGEST_NAME, Role
from service.db.session import Session, reading
from service.errors import InvalidRequest
from service.web import pages
from service.web.account import see_other
from service.web.auth import Caller, FormToken, MayPeople, require_token
from service.web.context import Web, WebState, client_address
from service.web.problems import Problem

router = APIRouter(include_in_schema=False)

Name = Annotated[str, Form(max_length=LONGEST_NAME)]
RoleField = Annotated[Role, Form()]
#: As on the command line: ten years at most.
MOST_DAYS = 3650
#: What the form of a new key offers: somebody looks at it once a year. Chosen by us.
USUAL_DAYS = 365
ROLES_OF_PEOPLE = tuple(role for role in Role if role is not Role.SENDER)

Told = TypeVar("Told")


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A one-time password or a key, shown this once and kept by nobody."""

    name: str
    text: str
    is_key: bool


@router.get("/people")
def people_page(request: Request, web: WebState, caller: MayPeople) -> Response:
    """Who may log in, and which programs may ask."""
    return _page(request, web, caller)


def _page(request: Request, web: Web, caller: Caller, secret: Secret | None = None) -> Response:
    with reading(web.sessions) as session:
        users, keys = people.list_users(session), people.list_keys(session)
    return pages.render(
        request,
        "people.html",
        caller,
        users=users,
        keys=sorted(keys, key=lambda key: key.revoked_at is not None),
        secret=secret,
        now=web.clock(),
        roles_of_people=ROLES_OF_PEOPLE,
        roles_of_keys=tuple(Role),
        second_person=web.settings.activation_second_person,
        most_days=MOST_DAYS,
        usual_days=USUAL_DAYS,
    )


def _changed(
    request: Request,
    web: Web,
    caller: Caller,
    csrf_token: str,
    change: Callable[[Session, Administrator], Told],
    *,
    about: tuple[str, str],
) -> Told:
    """Do what a person asks for, and write down what is refused; ``about`` is the kind and name of it."""
    require_token(caller, csrf_token)
    if caller.session_id is None:
        raise Problem(HTTPStatus.FORBIDDEN, "person_needed", "Only a person who is logged in changes this.")
    by = Administrator(
        actor=caller.actor,
        now=web.clock(),
        second_person=web.settings.activation_second_person,
        address=client_address(request),
    )
    try:
        with web.sessions.begin() as session:
            return change(session, by)
    except InvalidRequest as error:
        kind, name = about
        web.audit(
            request,
            caller.actor,
            "account_change",
            outcome="refused",
            object_type=kind,
            # What is no name may be anything that somebody typed.
            object_id=name if all(map(people.is_name_character, name)) else None,
            detail={"code": error.reason.code},
        )
        raise


@router.post("/people")
def add_user(
    *, request: Request, web: WebState, caller: MayPeople, csrf_token: FormToken, name: Name, role: RoleField
) -> Response:
    """Make an account, and show its one-time password."""
    name = name.strip()
    text = _changed(
        request, web, caller, csrf_token,
        lambda session, by: accounts.add_user(session, by, name=name, role=role),
        about=("user", name),
    )  # fmt: skip
    return _page(request, web, caller, Secret(name=name, text=text, is_key=False))


@router.post("/people/password")
def reset_password(
    request: Request, web: WebState, caller: MayPeople, csrf_token: FormToken, name: Name
) -> Response:
    """Give somebody a new one-time password, and show it."""
    text = _changed(
        request, web, caller, csrf_token,
        lambda session, by: accounts.reset_password(session, by, name=name),
        about=("user", name),
    )  # fmt: skip
    return _page(request, web, caller, Secret(name=name, text=text, is_key=False))


@router.post("/people/role")
def change_role(
    *, request: Request, web: WebState, caller: MayPeople, csrf_token: FormToken, name: Name, role: RoleField
) -> Response:
    """Give somebody another role."""
    _changed(
        request, web, caller, csrf_token,
        lambda session, by: accounts.change_role(session, by, name=name, role=role),
        about=("user", name),
    )  # fmt: skip
    return see_other("/people?notice=role_changed")


@router.post("/people/disable")
def disable_user(
    request: Request, web: WebState, caller: MayPeople, csrf_token: FormToken, name: Name
) -> Response:
    """Shut somebody out, now."""
    _changed(
        request, web, caller, csrf_token,
        lambda session, by: accounts.disable_user(session, by, name=name),
        about=("user", name),
    )  # fmt: skip
    return see_other("/people?notice=user_disabled")


@router.post("/people/enable")
def enable_user(
    request: Request, web: WebState, caller: MayPeople, csrf_token: FormToken, name: Name
) -> Response:
    """Let somebody in again."""
    _changed(
        request, web, caller, csrf_token,
        lambda session, by: accounts.enable_user(session, by, name=name),
        about=("user", name),
    )  # fmt: skip
    return see_other("/people?notice=user_enabled")


@router.post("/people/keys")
def add_key(
    *,
    request: Request,
    web: WebState,
    caller: MayPeople,
    csrf_token: FormToken,
    name: Name,
    role: RoleField,
    days: Annotated[int | None, Form(ge=1, le=MOST_DAYS)] = None,
) -> Response:
    """Make an API key, and show it."""
    name = name.strip()
    lifetime = None if days is None else timedelta(days=days)
    text = _changed(
        request, web, caller, csrf_token,
        lambda session, by: people.add_key(session, name=name, role=role, lifetime=lifetime, **by.named),
        about=("key", name),
    )  # fmt: skip
    return _page(request, web, caller, Secret(name=name, text=text, is_key=True))


@router.post("/people/keys/revoke")
def revoke_key(
    request: Request, web: WebState, caller: MayPeople, csrf_token: FormToken, name: Name
) -> Response:
    """Make an API key worthless, now."""
    _changed(
        request, web, caller, csrf_token,
        lambda session, by: people.revoke_key(session, name=name, **by.named),
        about=("key", name),
    )  # fmt: skip
    return see_other("/people?notice=key_revoked")

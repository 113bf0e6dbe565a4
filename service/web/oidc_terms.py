"""What the settings say of the provider, and who somebody is here by what it says of a person."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from service.db.people import Role
from service.settings import Oidc
from service.wire.oidc import Provider, Registration

#: Where the provider sends people back to.
CALLBACK: Final = "/login/oidc/callback"


def provider_of(terms: Oidc, *, clock: Callable[[], datetime]) -> Provider:
    """The provider of the settings; it is not asked anything yet."""
    registration = Registration(
        issuer=terms.issuer,
        client_id=terms.client_id,
        secret_file=terms.client_secret_file,
        redirect_uri=terms.url.rstrip("/") + CALLBACK,
        scopes=terms.scopes,
        algorithms=terms.algorithms,
        claims=(terms.role_claim[0], terms.name_claim[0]),
        ca_file=terms.ca_file,
    )
    return Provider(registration, clock=clock)


def role_of(terms: Oidc, claims: Mapping[str, Any]) -> Role | None:
    """The first role of the settings of which the person has a value; None without any."""
    said = _at(claims, terms.role_claim)
    has = {said} if isinstance(said, str) else {each for each in _listed(said) if isinstance(each, str)}
    return next((Role(role) for role, values in terms.roles.items() if has & set(values)), None)


def name_of(terms: Oidc, claims: Mapping[str, Any]) -> str:
    """How the provider calls the person; empty where it does not say."""
    said = _at(claims, terms.name_claim)
    return said if isinstance(said, str) else ""


def _at(claims: Mapping[str, Any], way: Sequence[str]) -> Any:
    """What stands at the end of a way into the claims, None where it leads nowhere."""
    found: Any = claims
    for step in way:
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _listed(said: Any) -> Sequence[Any]:
    return said if isinstance(said, list) else ()

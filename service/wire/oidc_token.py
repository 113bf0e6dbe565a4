"""What an ID token must be: signed by the provider in a way that we take, and meant for this login."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import BadSignatureError, ClaimError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jwt import JWTClaimsRegistry

from service.errors import LoginRefused

#: Clocks may differ by so much, as between our own hosts (``service.db.clock``).
LEEWAY_SECONDS: Final = 60
#: OIDC Core 2: a subject has at most 255 characters.
LONGEST_SUBJECT: Final = 255
#: Shorter RSA keys are not for signing (RFC 7518, 3.3).
LEAST_RSA_BITS: Final = 2048
#: Public keys; a shared secret ("oct") is none.
KEY_KINDS: Final = frozenset({"RSA", "EC", "OKP"})
#: What the library raises on keys and tokens that somebody else wrote, unknown curves for one.
UNREADABLE: Final = (JoseError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


class UnknownKey(LoginRefused):
    """No key that is known fits the token: the provider may have a new one."""

    code = "oidc_token"


def signed_claims(token: str, keys: KeySet, algorithms: Collection[str]) -> dict[str, Any]:
    """What the token says, if one of the keys signed it by one of the algorithms.

    Raises UnknownKey where another key might fit, and LoginRefused.
    """
    try:
        return jwt.decode(token, keys, algorithms=algorithms).claims
    except (InvalidKeyIdError, BadSignatureError) as error:
        raise UnknownKey("No key of the provider fits the ID token.", reason="oidc_token") from error
    except UNREADABLE as error:
        raise LoginRefused("The ID token cannot be read or trusted.", reason="oidc_token") from error


def require_claims(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: datetime
) -> None:
    """Refuse what this issuer did not say to us alone, for this login, and lately (OIDC Core 3.1.3.7).

    Raises LoginRefused.
    """
    registry = JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        registry.validate(dict(claims))
    except ClaimError as error:
        raise LoginRefused(
            f"The ID token says something else: {error.claim}.", reason="oidc_claims"
        ) from error
    # The token must be for us alone: whoever else it is for could play it here.
    audience = claims["aud"]
    if audience not in (client_id, [client_id]) or claims.get("azp", client_id) != client_id:
        raise LoginRefused("The ID token says something else: aud.", reason="oidc_claims")
    subject = claims["sub"]
    # What is not printable (NUL, half characters) no database keeps.
    fit = 0 < len(subject) <= LONGEST_SUBJECT and subject.isprintable()
    if not isinstance(claims["nonce"], str) or not fit:
        raise LoginRefused("The ID token says something else: sub.", reason="oidc_claims")


def signing_key(described: object) -> Key | None:
    """A public key for signatures, None where it is none that we take."""
    if not isinstance(described, dict) or described.get("kty") not in KEY_KINDS:
        return None
    if described.get("use", "sig") != "sig":
        return None
    if described["kty"] == "RSA" and len(str(described.get("n", ""))) * 6 < LEAST_RSA_BITS:
        return None
    try:
        return JWKRegistry.import_key(described)
    except UNREADABLE:
        return None

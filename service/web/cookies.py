"""Names of cookies where people come by HTTPS: with ``__Host-``, which a browser takes from us alone.

A neighbour in the same domain, or somebody on a way without encryption, can plant a cookie of any plain name;
one with this prefix only the host itself can set, by HTTPS (RFC 6265bis 4.1.3.2). So a plain one is not read.
"""

from collections.abc import Iterable
from typing import Final

OURS: Final = b"myoscreen_"
PREFIX: Final = b"__Host-"

Headers = Iterable[tuple[bytes, bytes]]


def unwrapped(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers of a request with the plain names that routes know, less what was planted under them."""
    return [(name, _read(value) if name == b"cookie" else value) for name, value in headers]


def _read(value: bytes) -> bytes:
    """The pairs of a header; ours have the prefix as their very first bytes.

    The framework drops more blanks around a name than a browser does (U+0085 and U+00A0 among them), and so
    a name with one of these before it would become ours there.
    """
    pairs = [pair.strip(b" \t") for pair in value.split(b";")]
    return b"; ".join(pair.removeprefix(PREFIX) for pair in pairs if not _is_planted(pair))


def _is_planted(pair: bytes) -> bool:
    return pair.decode("latin-1").strip().startswith(OURS.decode())


def wrapped(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with the names that the browser keeps; what takes one back is Secure too."""
    return [(name, _written(value) if name == b"set-cookie" else value) for name, value in headers]


def _written(value: bytes) -> bytes:
    if not value.startswith(OURS):
        return value
    secure = b"" if b"; secure" in value.lower() else b"; Secure"
    return PREFIX + value + secure

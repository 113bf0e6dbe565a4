"""What a child process gets of the environment: nothing that may be a secret."""

import os

from service.settings.values import PREFIX

#: What names of variables with secrets begin with, end with, or hold.
SECRET_STARTS = (PREFIX, "PG", "AWS_", "AZURE_", "GOOGLE_", "REDIS")
SECRET_WORDS = (
    "PASSWORD",
    "PASSWD",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "API_KEY",
    "PROXY",
    "DATABASE_URL",
    "BROKER_URL",
)


def bare_environment() -> dict[str, str]:
    """The environment of a child process that is to know no setting and no secret."""
    return {name: value for name, value in os.environ.items() if not _may_be_secret(name.upper())}


def _may_be_secret(name: str) -> bool:
    return name.startswith(SECRET_STARTS) or any(word in name for word in SECRET_WORDS)


def child_environment(**changes: str) -> dict[str, str]:
    """The environment of a child process: this one's, with settings (by field name) changed."""
    return {**os.environ, **{PREFIX + name.upper(): value for name, value in changes.items()}}

"""What is in force, as commands see it."""

from pathlib import Path

from service.db.session import make_sessions, reading, require_current
from service.errors import ServiceError
from service.pipeline.activation import Site
from service.settings import Settings, bare_environment

SQLITE = "sqlite:///"


def site_from(settings: Settings) -> Site:
    """The installation that the settings describe."""
    return Site.of(**settings.activation_site, env=bare_environment())


def standing(settings: Settings) -> Settings:
    """The settings with network, norms, policy and rules as they are in force.

    Where there is no database of this release, as on a researcher's machine, the settings are all there is.
    """
    url = settings.resolved_database_url
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).is_file():
        return settings
    try:
        require_current(url)
    except ServiceError:
        return settings
    sessions = make_sessions(url)
    try:
        with reading(sessions) as session:
            held = site_from(settings).held(session)
    finally:
        sessions.kw["bind"].dispose()
    return settings.model_copy(update=dict(held.as_settings()))

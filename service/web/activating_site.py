"""What is in force, as the web door sees it: the settings, and what was activated since."""

from dataclasses import replace
from functools import partial

from service.core.activation import Held
from service.db.session import reading
from service.pipeline.activation import Site
from service.settings import Settings, bare_environment
from service.web.context import Web


def site_of(web: Web) -> Site:
    """This installation, as its settings describe it."""
    site = Site.of(**web.settings.activation_site, env=bare_environment())
    return replace(site, trial=partial(web.neighbours.try_network, web.settings))


def held_by(web: Web) -> Held:
    """What is in force now."""
    with reading(web.sessions) as session:
        return site_of(web).held(session)


def settings_in_force(web: Web) -> Settings:
    """The settings with network, norms, policy and rules as they are in force."""
    return web.settings.model_copy(update=dict(held_by(web).as_settings()))


def require_as_activated(web: Web) -> None:
    """Raise NotAsActivated unless every file in force is the one that was activated."""
    site_of(web).require_unchanged(held_by(web))

"""The verb "activate": what is asked for is looked at first, and only then proposed or put into force.

Until somebody activates something the settings are the source, and what they name is recorded as activated
by them. From then on the latest deliberate change holds, whether somebody activated something or changed a
setting; a setting that stays as it is changes nothing.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic

from service.core.activation import BY_SETTINGS, Held, Kind, Thing, is_plain, tidy
from service.db import activating, activations, people
from service.db.activating import By
from service.db.activations import ActivationFacts
from service.db.session import Session, Sessions, reading
from service.errors import InvalidRequest, NotAsActivated, ServiceError
from service.inference.card import read_card, verify
from service.pipeline import equipment
from service.pipeline.references import bundled_models_dir
from service.pipeline.smoke import Trial, try_network

log = logging.getLogger(__name__)

FIRST, CHANGED_SETTING, CHANGED_FILE = (
    "The first, from the settings.",
    "The setting was changed.",
    "The file that the setting names was changed.",
)


@dataclass(frozen=True, kw_only=True)
class Site:
    """One installation: where its files lie, what its settings name, and whether two people are asked."""

    models_dir: Path
    #: What the settings name, tables with commas between.
    settings: Mapping[Kind, str]
    second_person: bool
    #: Shows the phantom to the network in a folder; raises ModelMismatch with what is wrong.
    trial: Callable[[Path], Trial]

    @classmethod
    def of(
        cls,
        *,
        models_dir: Path | None,
        model: str,
        norms: tuple[str, ...],
        policy: str,
        rules: str,
        second_person: bool,
        providers: tuple[str, ...],
        precision: str,
        threads: int,
        memory_mb: int,
        env: Mapping[str, str],
    ) -> "Site":
        """The installation that settings describe; ``env`` is for the process of the trial."""
        named = {Kind.NETWORK: model, Kind.NORMS: ",".join(norms), Kind.POLICY: policy, Kind.RULES: rules}
        return cls(
            models_dir=models_dir or bundled_models_dir(),
            settings=named,
            second_person=second_person,
            trial=partial(
                try_network,
                providers=providers,
                precision=precision,
                threads=threads,
                memory_mb=memory_mb,
                env=env,
            ),
        )

    def held(self, session: Session) -> Held:
        """What is in force."""
        return activations.held(session, self.settings)

    def require_unchanged(self, held: Held, *kinds: Kind) -> None:
        """Raise NotAsActivated unless the files behind what is in force are those that were activated."""
        for kind in kinds or tuple(Kind):
            equipment.require_unchanged(kind, held.pieces.get(kind, ()), self.models_dir)


def propose(
    sessions: Sessions, site: Site, kind: Kind, name: str, by: By, *, reason: str = ""
) -> ActivationFacts:
    """Have something put into force, or proposed where a second person is asked.

    Raises InvalidRequest, or a ServiceError that says what is wrong with the files; all of it is audited.
    """
    name = tidy(kind, name)
    with _refusals(sessions, by, {"kind": kind.value}):
        if not is_plain(kind, name):
            raise InvalidRequest("There is nothing of this name to activate.", reason="unknown_thing")
        thing = equipment.describe(kind, name, site.models_dir)
        with reading(sessions) as session:
            activating.require_new(session, thing, by)
        by = _tried(site, thing, by)
        with sessions.begin() as session:
            return activating.submit(session, thing, by, reason=reason)


def roll_back(
    sessions: Sessions, site: Site, activation_id: int, by: By, *, reason: str = ""
) -> ActivationFacts | None:
    """Have what was in force before put into force again; None: no such activation."""
    with reading(sessions) as session:
        facts = activations.one(session, activation_id)
        earlier = None if facts is None else activations.before(session, facts)
        current = None if facts is None else activations.in_force(session).get(facts.kind)
    if facts is None:
        return None
    with _refusals(sessions, by, {"kind": facts.kind.value}, facts.id):
        if current is None or current.id != facts.id:
            raise InvalidRequest("Only what is in force can be rolled back.", reason="not_in_force")
        if earlier is None:
            raise InvalidRequest("Nothing was in force before this.", reason="nothing_before")
        thing = _same(site, earlier)
        with reading(sessions) as session:
            activating.require_new(session, thing, by)
        by = _tried(site, thing, by)
        with sessions.begin() as session:
            return activating.submit(session, thing, by, reason=reason, back_from=facts)


def confirm(sessions: Sessions, site: Site, activation_id: int, by: By) -> ActivationFacts | None:
    """Put what another person proposed into force, if its files are still the same; None: no such one."""
    with reading(sessions) as session:
        facts = activations.one(session, activation_id)
    if facts is None:
        return None
    with _refusals(sessions, by, {"kind": facts.kind.value}, facts.id):
        with reading(sessions) as session:
            activating.require_confirmable(session, facts, by)
        by = _tried(site, _same(site, facts), by)
        with sessions.begin() as session:
            return activating.confirm(session, activation_id, by)


def refuse(sessions: Sessions, activation_id: int, by: By, *, reason: str = "") -> ActivationFacts | None:
    """Refuse what was proposed; None: no such one."""
    with _refusals(sessions, by, {}, activation_id), sessions.begin() as session:
        return activating.refuse(session, activation_id, by, reason=reason)


def take_up_settings(sessions: Sessions, site: Site, *, now: datetime) -> None:
    """Record what the settings name, where that is new; a worker does so when it starts.

    The first of each kind is in force at once, and so is a changed one unless a second person is asked.
    Raises a ServiceError where a setting that is to be taken up names something that cannot be used.
    """
    with reading(sessions) as session:
        found, seen = activations.in_force(session), activations.settings_seen(session)
    for kind, name in site.settings.items():
        why = _why_taken_up(site, found.get(kind), kind, seen.get(kind))
        if why is None:
            continue
        thing = equipment.describe(kind, name, site.models_dir)
        by = By(actor=BY_SETTINGS, now=now, second_person=site.second_person)
        if why is not FIRST:  # Which the worker opens next, before it takes any analysis.
            by = _tried(site, thing, by)
        try:
            with sessions.begin() as session:
                _take_up(session, thing, found.get(kind), by, why)
        except InvalidRequest as error:
            # Another worker starts at the same moment, or a person's proposal waits: the next start looks.
            log.warning("setting_not_taken_up", extra={"kind": kind.value, "code": error.reason.code})


def _why_taken_up(site: Site, current: ActivationFacts | None, kind: Kind, seen: str | None) -> str | None:
    """Why a setting is to be taken up now; None where it is not."""
    if current is None:
        return FIRST
    if seen != site.settings[kind]:
        return CHANGED_SETTING
    if current.asked_by != BY_SETTINGS or current.name != site.settings[kind]:
        return None
    try:
        equipment.require_unchanged(kind, current.pieces, site.models_dir)
    except NotAsActivated:
        return CHANGED_FILE
    return None


def _take_up(session: Session, thing: Thing, current: ActivationFacts | None, by: By, why: str) -> None:
    activations.note_setting(session, thing.kind, thing.name)
    if current is None or (current.name, current.sha256) != (thing.name, thing.sha256):
        activating.submit(session, thing, by, reason=why)


def _same(site: Site, facts: ActivationFacts) -> Thing:
    """The very thing of an earlier line; raises NotAsActivated where its files are others now."""
    equipment.require_unchanged(facts.kind, facts.pieces, site.models_dir)
    thing = equipment.describe(facts.kind, facts.name, site.models_dir)
    if thing.sha256 != facts.sha256:
        raise NotAsActivated(
            f"{facts.kind.value.capitalize()} {facts.name} is made of other files now.",
            reason="activated_file_changed",
        )
    return thing


def _tried(site: Site, thing: Thing, by: By) -> By:
    """Have a network show that it is the one of its card and answers; the rest was read, which is enough.

    Who asks, as of the end of that: what is in force changes then, and the trial may have taken minutes.
    """
    if thing.kind is not Kind.NETWORK:
        return by
    start = monotonic()
    folder = site.models_dir / Path(thing.name).name
    verify(read_card(folder))
    tried = site.trial(folder)
    facts = {"model": thing.name, "version": thing.version, "provider": tried.provider}
    log.info("network_tried", extra=facts)
    return replace(by, now=by.now + timedelta(seconds=monotonic() - start))


@contextmanager
def _refusals(
    sessions: Sessions, by: By, detail: Mapping[str, str], number: int | None = None
) -> Iterator[None]:
    """Write down what was asked for and refused, which the transaction that failed could not."""
    try:
        yield
    except ServiceError as error:
        with sessions.begin() as session:
            people.record(
                session,
                at=by.now,
                actor=by.actor,
                action="activation",
                outcome="refused",
                object_type="activation",
                object_id=number,
                address=by.address,
                detail={**detail, "code": error.reason.code},
            )
        raise

"""What is in force as a worker takes it: asked anew for each analysis and each sweep, without a restart."""

import logging
from datetime import timedelta
from pathlib import Path

from service.core.activation import Held, Kind
from service.db.session import Session, Sessions, reading
from service.errors import NotAsActivated
from service.inference.card import read_card
from service.pipeline.activation import Site
from service.pipeline.choose import Choosing
from service.pipeline.job import JobTools
from service.pipeline.references import read_rules
from service.pipeline.toolbox import KINDS

log = logging.getLogger(__name__)


class InForce:
    """One worker's eye on what is in force."""

    def __init__(self, sessions: Sessions, site: Site, *, hard_cap: timedelta) -> None:
        self._sessions, self._site, self._hard_cap = sessions, site, hard_cap
        self._told: dict[tuple[Kind, ...], str] = {}
        self._choosing: tuple[tuple[str | None, ...], Choosing] | None = None

    def usable(self) -> bool:
        """Whether the files behind network, norms and policy are those that were activated.

        Where not, analyses wait rather than fail; it is logged once, and `readyz` and the status tell it.
        """
        with reading(self._sessions) as session:
            held = self._site.held(session)
        return self._unchanged(held, *KINDS)

    def tools(self, session: Session) -> JobTools | None:
        """What an analysis that is claimed in this transaction is done with; None: nothing was recorded."""
        held = self._site.held(session)
        hashes = [held.hashes.get(kind) for kind in KINDS]
        network, norms, policy = hashes
        if network is None or norms is None or policy is None:
            return None
        named = held.as_settings()
        return JobTools(
            model=str(named["model"]),
            norms=tuple(named["norms"]),
            policy=str(named["policy"]),
            hashes=(network, norms, policy),
        )

    def choosing(self) -> Choosing | None:
        """The rules in force and the network that they choose for; None while their files are others.

        What was read once stays as it was read, whatever happens to the files.
        """
        with reading(self._sessions) as session:
            held = self._site.held(session)
        kinds = (Kind.RULES, Kind.NETWORK)
        key = tuple(text for kind in kinds for text in (held.names[kind], held.hashes.get(kind)))
        if self._choosing is not None and self._choosing[0] == key:
            return self._choosing[1]
        if not self._unchanged(held, *kinds):
            return None
        made = Choosing(
            rules=read_rules(self._site.models_dir, held.names[Kind.RULES]),
            card=read_card(self._site.models_dir / Path(held.names[Kind.NETWORK]).name),
            hard_cap=self._hard_cap,
        )
        if not self._unchanged(held, *kinds):  # While they were read.
            return None
        self._choosing = (key, made)
        return made

    def _unchanged(self, held: Held, *kinds: Kind) -> bool:
        """Whether these files are as they were activated; a change of that is logged."""
        try:
            self._site.require_unchanged(held, *kinds)
        except NotAsActivated as error:
            if self._told.get(kinds) != error.reason.text:
                log.error("not_as_activated", extra={"code": error.reason.code, "reason": error.reason.text})
            self._told[kinds] = error.reason.text
            return False
        self._told.pop(kinds, None)
        return True

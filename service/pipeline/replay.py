"""The verb "replay": an analysis once more from the stored images, compared bit for bit, publishing nothing.

Bit equality is promised on the same provider, precision and kind of device with the same network. Elsewhere
a replay says what is not the same, and counts what differs.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from service.core.variant import Variant
from service.db import people, rescoring
from service.db.session import Sessions, reading
from service.dicom.spool import Spool
from service.errors import InvalidRequest, ModelMismatch, ProviderUnavailable
from service.inference.card import Card, read_card
from service.inference.sliding import load_segmenter
from service.pipeline.analyse import Workshop
from service.pipeline.attempt import attempt
from service.pipeline.comparing import Replayed, compare
from service.pipeline.recipe import WorkshopRecipe
from service.pipeline.references import bundled_models_dir, read_norms, read_policy
from service.pipeline.replayable import compared_with, job_of, refuse, require_unharmed


def replay(
    sessions: Sessions,
    analysis_id: int,
    recipe: WorkshopRecipe,
    *,
    home: Path,
    spool: Spool,
    network: str | None = None,
    actor: str,
    now: datetime,
) -> Replayed | None:
    """Run an analysis again in a folder of its own and compare; None: no such analysis.

    ``network`` is the name of a network of this installation in the place of the one that measured. Raises
    InvalidRequest where it cannot be replayed, and whatever is wrong with network or norms.
    """
    with reading(sessions) as session:
        found = rescoring.replayable(session, analysis_id)
        if found is None:
            return None
        refuse(session, found, home)
        job = job_of(session, found, spool)
    workshop = _workshop(found.stored.finding, recipe, network)
    require_unharmed(job, found.stored, home)
    with tempfile.TemporaryDirectory() as desk:
        outcome = attempt(replace(job, out=Path(desk) / "out"), workshop)
        replayed = compare(compared_with(found.stored, home), outcome, workshop)
    with sessions.begin() as session:
        detail = replayed.as_detail()
        rescoring.note_replay(session, analysis_id, detail=detail, now=now)
        people.record(
            session,
            at=now,
            actor=actor,
            action="analysis_replayed",
            object_type="analysis",
            object_id=analysis_id,
            detail=detail,
        )
    return replayed


def _workshop(finding: Mapping[str, Any], recipe: WorkshopRecipe, network: str | None) -> Workshop:
    """The network that measured, on what it ran on; else on what this installation has."""
    model = finding.get("model")
    if network is not None or model is None:
        card = read_card(recipe.models_dir / Path(network or recipe.model).name)
    else:
        card = _card_of(model, recipe.models_dir)
    demanded = (recipe.providers, recipe.precision)
    if model is not None:
        demanded = ((str(model["provider"]),), str(model["precision"]))
    try:
        segmenter = load_segmenter(card, providers=demanded[0], precision=demanded[1], threads=recipe.threads)
    except ProviderUnavailable:
        segmenter = load_segmenter(
            card, providers=recipe.providers, precision=recipe.precision, threads=recipe.threads
        )
    return Workshop(
        segmenter=segmenter,
        norms=read_norms(recipe.models_dir, recipe.norms),
        policy=read_policy(recipe.models_dir, recipe.policy),
        institution=recipe.institution,
        variants=(Variant(),),
    )


def _card_of(model: Mapping[str, Any], models_dir: Path) -> Card:
    """The card of the network that measured; raises InvalidRequest where its weights are gone.

    Several cards may have the same weights, with thresholds of their own: that of this name and version is
    taken.
    """
    sha256 = str(model["sha256"])
    found = [card for card in _cards(models_dir) if card.sha256 == sha256]
    same = [card for card in found if (card.name, card.version) == (model["name"], model["version"])]
    if found:
        return (same or found)[0]
    raise InvalidRequest(
        f"The network with the hash {sha256[:12]} is not in the models folder any more. "
        "Put it back, or name another one to compare with.",
        reason="network_gone",
    )


def _cards(models_dir: Path) -> Iterator[Card]:
    """Every card that can be read."""
    for folder in dict.fromkeys((models_dir, bundled_models_dir())):
        for path in sorted(folder.glob("*/card.toml")):
            with suppress(ModelMismatch):
                yield read_card(path.parent)

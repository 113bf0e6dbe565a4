"""From settings to the rules that choose what is measured."""

from datetime import timedelta
from pathlib import Path

from service.core.rules import Rules
from service.inference.card import read_card
from service.pipeline.choose import Choosing
from service.pipeline.references import bundled_models_dir, read_rules
from service.settings import Settings


def choosing_from(settings: Settings, rules: Rules | None = None) -> Choosing:
    """What the settings describe, or with other rules; raises a ServiceError naming what is wrong."""
    folder = settings.models_dir or bundled_models_dir()
    return Choosing(
        rules=rules or rules_from(settings),
        card=read_card(folder / Path(settings.model).name),
        hard_cap=timedelta(seconds=settings.hard_cap_seconds),
    )


def rules_from(settings: Settings) -> Rules:
    """The rules in force; raises ConfigurationError with what is wrong in them."""
    return read_rules(settings.models_dir or bundled_models_dir(), settings.rules)

"""Rules of a site, and the stand-in with the card that says what is eligible."""

import tomllib
from types import SimpleNamespace

from service.core.rulefile import parse_rules
from service.core.rules import Rules
from service.inference.card import read_card
from service.pipeline.references import bundled_models_dir
from tests.make import stand_in

CARD = read_card(bundled_models_dir() / "paraspinal")
WORKSHOP = SimpleNamespace(
    **{**vars(stand_in.WORKSHOP), "card": CARD, "norms": (), "yardsticks": SimpleNamespace(names=())}
)
MOST_SLICES = """
id = "site"
version = "1"
take = "first"
[[rule]]
name = "T2"
when.contrast = ["t2_tse"]
prefer = ["most slices"]
[[rule]]
name = "T1"
when.contrast = ["t1"]
"""


def rules(text: str) -> Rules:
    """Rules as a file would hold them."""
    return parse_rules(tomllib.loads(text), file="site.toml", sha256="0" * 64)

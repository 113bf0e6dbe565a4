"""The card that the service reads beside the network: a template, what training knows, and what was measured.

    python -m models.training.card --out DIR

Commands that measure print TOML; as files in ``DIR/work/measured`` it becomes part of the card (README.md).
"""

import argparse
import json
import tomllib
from pathlib import Path
from string import Template
from typing import Any, Final

from models.training.contrast import NORMAL_CLIP, NORMAL_PERCENTILE
from models.training.predict import PAD_MULTIPLE
from models.training.tissues import PIXEL_MM

NAME: Final = "paraspinal"
VERSION: Final = "0.3.0"
_TEMPLATE: Final = Path(__file__).with_name("card_template.toml")
#: What the card says it is not (issue: two or three healthy real subjects at most behind a network).
_NOT: Final = {
    0: "synthetic images only, measured on one healthy volunteer; no clinical validation",
    1: "one healthy volunteer, trained on, is the only real person behind it; no clinical validation",
}
_VOLUNTEER: Final = """\
[[training.{table}]]
name = "tum01: one volunteer of MyoSegmenTUM (10.1186/s12891-019-2528-x)"
use = "{use}"
licence = "Apache-2.0 as distributed"
"""


def write_card(out: Path) -> None:
    """Write ``card.toml``; raises if the result cannot be read again."""
    made: dict[str, Any] = json.loads((out / "work" / "made.json").read_text(encoding="utf-8"))
    fragments = sorted((out / "work" / "measured").glob("*.toml"))
    measured = "\n".join(path.read_text(encoding="utf-8").strip() + "\n" for path in fragments)
    people = 1 if made["real_share"] else 0
    scale = "; the widths of muscle of this set scaled the atlas (factor 1.46)"
    volunteer = _VOLUNTEER.format(
        table="sources" if people else "not_trained_on",
        use=("deformed, with fat added, in simulated contrasts" if people else "measured only") + scale,
    )
    start = made["start_sha256"]
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        made,
        name=NAME,
        version=VERSION,
        pixel=PIXEL_MM,
        pad=PAD_MULTIPLE,
        percentile=NORMAL_PERCENTILE,
        clip=NORMAL_CLIP,
        difference=f"{made['max_probability_difference']:.1e}",
        disagreements=made["argmax_disagreements"],
        measured=measured,
        people=people,
        start=f'started_from = "a run without any real person, checkpoint {start[:12]}"' if start else "",
        volunteer=volunteer.strip(),
        what_it_is_not=_NOT[people],
    )
    tomllib.loads(text)
    (out / "card.toml").write_text(text, encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Write the card again, with what was measured since.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the network")
    write_card(parser.parse_args().out)


if __name__ == "__main__":
    main()

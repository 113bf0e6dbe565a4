"""The card that the service reads beside the network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from models.training.contrast import NORMAL_CLIP, NORMAL_PERCENTILE
from models.training.evaluate import Cell, PhantomCell, Report
from models.training.export import Exported
from models.training.fat_method import BAND_MM, FAT_PERCENTILE, THRESHOLD
from models.training.fit import State
from models.training.generate import GENERATOR_VERSION, VARIANTS
from models.training.predict import PAD_MULTIPLE
from models.training.tissues import PIXEL_MM

NAME: Final = "paraspinal"
VERSION: Final = "0.2.0"

_FIXED: Final = '''\
[input]
plane = "axial"
layout = "2d"
spacing_mm = [{pixel}, {pixel}]
# Row 0 is anterior, column 0 is the patient's right.
orientation = ["anterior", "right"]
pad_multiple = {pad}
# Average with the answer to the mirrored image, its sides swapped back.
tta = "flip_columns"

# Each slice, at the network's spacing, is divided by this percentile of its own positive pixels.
[input.normalisation]
kind = "percentile"
percentile = {percentile}
of = "positive"
scope = "slice"
clip = [0.0, {clip}]

[output]
channels = ["background", "compartment_right", "compartment_left"]
# What is still to be applied to the answer: "none", the graph ends with its softmax and gives probabilities.
activation = "none"
# A pixel is compartment where 1 - background exceeds this; its side is the larger of the two channels.
threshold = {threshold}

[definition]
id = "paraspinal-two-class"
version = "1"
boundary_rule = """\\
Erector spinae and multifidus of one side with the fat between and within them, inside the \\
thoracolumbar fascia; without fascia, subcutaneous fat, the fat between muscle and fascia, \\
quadratus lumborum, psoas, bone and the ligaments between the spinous processes. \\
Only the largest connected piece of each side counts."""
# In these contrasts the compartment may be given, but not its fat.
unsupported_contrasts = ["fat", "opposed", "stir", "other"]

[definition.fat_method]
t2_tse = "fat_reference_bright"
t2_haste = "fat_reference_bright"
t1 = "fat_reference_bright"
in_phase = "fat_reference_bright"
water = "muscle_reference_dark"

# fat_reference_bright: the fat level is this percentile of the fat at this depth under the skin of the back.
[definition.fat_reference]
percentile = {fat_percentile}
band_mm = [{band[0]}, {band[1]}]
threshold = {fat_threshold}

[intended_use]
modality = ["MR"]
planes = ["axial"]
max_tilt_degrees = 30
contrasts = ["t2_tse", "t2_haste", "t1", "in_phase", "water"]
regions = ["lumbar", "thoracolumbar"]
min_slices = 5
min_age = 18
exclusions = [
  "implants or metal near the spine",
  "scoliosis or earlier surgery of the lumbar spine: never tested",
  "muscle with more than about 10 % fat: never tested in a person, synthetic images only",
  "slices below L5/S1: small muscle, little tested",
  "diagnosis: research use only",
]

[precision]
providers = ["CPUExecutionProvider", "CUDAExecutionProvider"]
precisions = ["fp32"]
equivalence = """\\
Measured on CPUExecutionProvider only, against the trained network in fp32. \\
CUDAExecutionProvider is admitted, but its difference has not been measured."""
'''

_TRAINING: Final = """
[[training.sources]]
name = "SPL abdominal atlas (label map of one person's CT)"
use = "anatomy of synthetic images"
licence = "3D Slicer License"

[[training.sources]]
name = "3Shot-LPM-Seg masks (L4/L5 of some 400 people, without images)"
use = "muscle shapes of synthetic images"
licence = "Apache-2.0"

[[training.sources]]
name = "procedural shapes (ellipses and rounded boxes, the kind the drawn phantom is made of)"
use = "a fifth of the synthetic images, so that the phantom is within what the network has seen"
licence = "this project's"

[[training.not_trained_on]]
name = "tum01: one volunteer of MyoSegmenTUM (10.1186/s12891-019-2528-x)"
use = "measured in [quality] only; the widths of muscle of this set scaled the atlas (factor 1.46)"
licence = "Apache-2.0 as distributed"
"""


def write_card(
    path: Path,
    *,
    exported: Exported,
    report: Report,
    state: State,
    minutes: float,
    seed: int,
    anatomies: int,
) -> None:
    """Write the card of a network that was just exported."""
    lines = [
        f'name = "{NAME}"',
        f'version = "{VERSION}"',
        f'sha256 = "{exported.sha256}"',
        'licence = "Apache-2.0 for the weights; sources with their licences under [training]"',
        f'file = "{exported.file}"',
        "",
        _fixed(report),
        f"max_probability_difference = {exported.max_probability_difference:.1e}",
        f"argmax_disagreements = {exported.argmax_disagreements}",
        "",
        *_quality(report),
        "",
        "[training]",
        "synthetic_images_only = true",
        f"seed = {seed}",
        f"minutes = {minutes}",
        f"iterations = {state.iteration}",
        "batch = 8",
        f"synthetic_slices = {anatomies * VARIANTS}",
        f'generator_version = "{GENERATOR_VERSION}"',
        'precision = "bf16 autocast"',
    ]
    path.write_text("\n".join(lines) + "\n" + _TRAINING, encoding="utf-8")


def _fixed(report: Report) -> str:
    """The tables that do not depend on the numbers measured, but on constants of this package."""
    return _FIXED.format(
        pixel=PIXEL_MM,
        percentile=NORMAL_PERCENTILE,
        clip=NORMAL_CLIP,
        pad=PAD_MULTIPLE,
        threshold=report.threshold,
        fat_percentile=FAT_PERCENTILE,
        band=BAND_MM,
        fat_threshold=THRESHOLD,
    ).rstrip("\n")


def _quality(report: Report) -> Iterator[str]:
    """Everything measured, and what was not."""
    yield "[quality]"
    yield 'repeatability = "not measured"'
    yield 'by_level = "not measured: the volunteer\'s mask has no levels"'
    yield 'threshold_chosen_on = "synthetic validation"'
    yield "# One healthy volunteer, L2 to L5, contrasts made from Dixon water W and fat F:"
    yield "# t2_tse 0.6 W + F, t1 0.8 W + F, in_phase W + F, opposed |W - F|."
    yield "# t2_haste: synthetic slices and the phantom only."
    yield f"tum01_side_swap_voxels = {report.side_swap_voxels}"
    yield from _table("tum01", report.tum01)
    yield ""
    yield "# Synthetic slices of another seed; t2 stands for t2_tse and t2_haste."
    yield from _table("synthetic", report.synthetic)
    yield ""
    yield "# Network and fat method on the drawn phantom: measured over true volume."
    yield from _phantoms(report.phantom)


def _table(name: str, cells: list[Cell]) -> Iterator[str]:
    """One table a contrast."""
    for contrast in dict.fromkeys(cell.contrast for cell in cells):
        own = {cell.side: cell for cell in cells if cell.contrast == contrast}
        yield f"[quality.{name}.{contrast}]"
        for side, cell in own.items():
            yield f"dice_{side} = {cell.dice:.3f}"
            yield f"volume_ratio_{side} = {cell.volume_ratio:.2f}"


def _phantoms(cells: list[PhantomCell]) -> Iterator[str]:
    """Worst ratios of each contrast over the phantoms."""
    for contrast in dict.fromkeys(cell.contrast for cell in cells):
        own = [cell for cell in cells if cell.contrast == contrast]
        lean, fat = ([getattr(c, f"{kind}_ratio") for c in own] for kind in ("lean", "fat"))
        yield f"[quality.phantom.{contrast}]"
        yield f"lean_ratio = [{min(lean):.3f}, {max(lean):.3f}]"
        yield f"fat_ratio = [{min(fat):.3f}, {max(fat):.3f}]"

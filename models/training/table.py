"""The long evaluation: one table of what networks measure, through the service's own code.

    python -m models.training.table --data DIR --network FOLDER [--seeds FOLDER ...] [--toml FILE]

``--seeds`` are further networks of the same recipe: they show how much of a number is chance. ``--volumes``
are the synthetic stacks of a generator that no network is trained with.
"""

import argparse
import tomllib
from pathlib import Path
from typing import Final

import numpy as np

from models.training.chain import SIDES
from models.training.dose import Answer, Response
from models.training.evaluate import (
    PHANTOM_SLICES,
    Agreement,
    Cell,
    Doses,
    Person,
    cell,
    moved_boundaries,
    phantom_ratios,
    phantom_volume,
    synthetic_doses,
    volunteer_doses,
)
from models.training.symmetry import Mirror, Orders, axis_orders, mirror
from models.training.volume_images import CONTRASTS
from service.dicom.phantom import paraspinal_phantom
from service.inference.card import read_card
from service.inference.segmenter import OnnxSegmenter

#: Contrasts of the requirement; opposed phase is shown for information.
REQUIRED: Final = ("t2_tse", "t1", "in_phase", "water", "fat")
SHOWN: Final = (*REQUIRED, "opposed")


class Table:
    """Lines to read, and the same numbers as TOML for the card."""

    def __init__(self) -> None:
        self.toml: list[str] = []

    def say(self, text: str = "") -> None:
        """Print one line at once: the whole takes minutes."""
        print(text, flush=True)

    def keep(self, heading: str, **numbers: object) -> None:
        """One table of the card."""
        self.toml.append(f"[quality.{heading}]")
        self.toml += [f"{name} = {_toml(value)}" for name, value in numbers.items()]


def _toml(value: object) -> str:
    """A number, a list or a truth value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.3f}" if np.isfinite(value) else '"not measured"'
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return str(value)


def saw_the_volunteer(folder: Path) -> bool:
    """Whether the network's card names him among what it was trained on."""
    training = tomllib.loads((folder / "card.toml").read_text("utf-8")).get("training", {})
    return any("tum01" in source.get("name", "") for source in training.get("sources", []))


def dice_table(networks: dict[str, dict[str, Cell]], table: Table) -> None:
    """Dice on the volunteer by contrast and side; of several networks mean and standard deviation."""
    table.say(
        "Dice on the volunteer (right / left), 10th percentile over slices, volume ratio, swapped voxels"
    )
    every: dict[str, list[float]] = {name: [] for name in networks}
    for contrast in SHOWN:
        sides, tenths, ratios = ({side: [] for side in SIDES} for _ in range(3))
        for name, cells in networks.items():
            own = cells[contrast]
            for side in SIDES:
                sides[side].append(own.dice[side])
                tenths[side].append(own.tenth[side])
                ratios[side].append(own.volume_ratio[side])
                if contrast in REQUIRED:
                    every[name].append(own.dice[side])
        swapped = sum(cells[contrast].swapped for cells in networks.values())
        row = "  ".join(
            " / ".join(mean_and_sd(numbers[side]) for side in SIDES) for numbers in (sides, tenths, ratios)
        )
        table.say(f"  {contrast:9s} {row}  {swapped}")
        table.keep(
            f"tum01.{contrast}",
            **{f"dice_{side}": float(np.mean(sides[side])) for side in SIDES},
            **{f"dice_tenth_percentile_{side}": float(np.mean(tenths[side])) for side in SIDES},
            **{f"volume_ratio_{side}": float(np.mean(ratios[side])) for side in SIDES},
        )
    means = [float(np.mean(values)) for values in every.values()]
    least = [float(np.min(values)) for values in every.values()]
    table.say(f"  mean of the five required contrasts {mean_and_sd(means)}, least cell {mean_and_sd(least)}")
    swaps = sum(own.swapped for cells in networks.values() for own in cells.values())
    table.keep(
        "tum01",
        networks=len(networks),
        mean_dice=float(np.mean(means)),
        sd_of_networks=float(np.std(means, ddof=1)) if len(means) > 1 else 0.0,
        side_swap_voxels=swaps,
    )


def imat_table(person: Person, networks: dict[str, dict[str, Cell]], table: Table) -> None:
    """IMAT of the volunteer without any dose."""
    true = 100.0 * float(person.imat.sum() / (person.side > 0).sum())
    table.say(f"IMAT of the volunteer; by Dixon in the expert's mask {true:.2f} %")
    shares = {}
    for contrast in ("t2_tse", "t1", "in_phase", "water"):
        values = [cells[contrast].imat_percent or 0.0 for cells in networks.values()]
        shares[contrast] = float(np.mean(values))
        table.say(f"  {contrast:9s} {mean_and_sd(values)} %  error {np.mean(values) - true:+.2f} points")
    table.keep("tum01.imat_percent", dixon=true, **shares)


def boundary_table(person: Person, segmenter: OnnxSegmenter, table: Table) -> None:
    """What a boundary elsewhere would give: why the rule is part of the definition."""
    table.say("The expert's boundary moved outwards: IMAT by Dixon and T2-like, compartment and lean volume")
    for own in moved_boundaries(person, segmenter.card):
        table.say(
            f"  {own.pixels:+d} px  {own.dixon:5.2f} %  {own.t2_like:5.2f} %  "
            f"x{own.compartment_ratio:.3f}  x{own.lean_ratio:.3f}"
        )


def mirror_table(mirrors: dict[str, Mirror], table: Table) -> None:
    """The mirror test."""
    table.say("Mirrored images (Dice at least 0.97, IMAT within 0.5 points)")
    for name, own in mirrors.items():
        table.say(f"  {name:9s} Dice {own.dice:.4f}  IMAT {own.imat_points:.3f} points")
        table.keep(f"mirror.{name}", dice=own.dice, imat_points=own.imat_points)


def orders_table(orders: Orders, table: Table) -> None:
    """The 48 axis orders."""
    table.say(
        f"48 axis orders: {orders.axial} with axial slices, {orders.same} of them give the same voxels, "
        f"{orders.swapped} voxels swapped, least Dice {orders.least_dice:.3f}; {orders.refused} refused"
    )
    table.keep(
        "axis_orders",
        axial=orders.axial,
        same=orders.same,
        refused=orders.refused,
        swapped_voxels=orders.swapped,
    )


def response_table(title: str, name: str, answers: dict[str, list[Answer]], table: Table) -> None:
    """Slope, error, sides and fat map, by contrast and over all."""
    table.say(title)
    rows = dict(answers)
    if len(answers) > 1:
        rows["all"] = [item for listed in answers.values() for item in listed]
    for contrast, listed in rows.items():
        response = Response.of(listed)
        table.say(f"  {contrast:9s} {response.line()}")
        table.keep(
            f"{name}.{contrast}",
            stacks=response.number,
            slope=response.slope,
            bias_points=response.bias,
            mean_absolute_error_points=response.mean_absolute_error,
            right_minus_left_points=response.right_minus_left,
            fat_map_dice=response.dice,
        )


def lean_table(doses: Doses, table: Table) -> None:
    """Lean volume: bias and limits of agreement, by contrast and over all."""
    table.say("Lean volume, measured over true on the synthetic stacks (bias below 5 %)")
    rows = dict(doses.lean)
    rows["all"] = [ratio for listed in doses.lean.values() for ratio in listed]
    withheld = dict(doses.withheld, all=sum(doses.withheld.values()))
    for contrast, ratios in rows.items():
        own = Agreement.of(ratios)
        dice = doses.dice.get(contrast) or [d for listed in doses.dice.values() for d in listed]
        table.say(
            f"  {contrast:9s} bias {own.bias:+.1f} %, limits {own.low:+.1f} to {own.high:+.1f} %, "
            f"Dice of the worse side {np.mean(dice):.3f}, withheld {withheld.get(contrast, 0)}"
        )
        table.keep(f"lean_volume.{contrast}", bias_percent=own.bias, limits_percent=[own.low, own.high])


def phantom_table(segmenter: OnnxSegmenter, table: Table) -> None:
    """The drawn phantom, measured over true."""
    table.say("Drawn phantom, measured over true (right, left)")
    for contrast in CONTRASTS:
        lean, fat = phantom_ratios(contrast, segmenter)
        table.say(f"  {contrast:9s} lean {lean[0]:.3f} {lean[1]:.3f}  fat {fat[0]:.3f} {fat[1]:.3f}")
        table.keep(f"phantom.{contrast}", lean_ratio=lean, fat_ratio=fat)


def mean_and_sd(values: list[float]) -> str:
    """Several networks' numbers in one cell."""
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({np.std(values, ddof=1):.3f})"


def evaluate(folders: list[Path], data: Path, volumes: int) -> Table:
    """Everything; the first folder is the network in question."""
    table = Table()
    person = Person.read(data)
    segmenters = {str(folder): OnnxSegmenter(read_card(folder)) for folder in folders}
    for folder in folders:
        seen = (
            "TRAINED ON THE VOLUNTEER: his numbers are no test"
            if saw_the_volunteer(folder)
            else "never saw him"
        )
        table.say(f"{folder}: {read_card(folder).version}, {seen}")
    cells = {name: {c: cell(person, c, own) for c in SHOWN} for name, own in segmenters.items()}
    dice_table(cells, table)
    imat_table(person, cells, table)
    boundary_table(person, segmenters[str(folders[0])], table)
    first = segmenters[str(folders[0])]
    mirrors = {
        "tum01": mirror(person.volume("t2_tse"), "t2_tse", first),
        "phantom": mirror(
            phantom_volume(paraspinal_phantom(contrast="t2_tse", slices=PHANTOM_SLICES)), "t2_tse", first
        ),
    }
    mirror_table(mirrors, table)
    orders_table(axis_orders(person, first), table)
    phantom_table(first, table)
    real, dixon = volunteer_doses(person, first)
    response_table(
        "The volunteer with 0 to 40 % of fat added, in the network's mask", "dose_tum01", real.own_mask, table
    )
    response_table("the same in the expert's mask", "dose_tum01_true_mask", real.true_mask, table)
    response_table(
        "the same as F / (F + W) of the Dixon pair, expert's mask",
        "dose_tum01_dixon",
        {"dixon": dixon},
        table,
    )
    if volumes:
        drawn = synthetic_doses(volumes, first)
        response_table(
            f"{volumes} synthetic stacks, in the network's mask", "dose_synthetic", drawn.own_mask, table
        )
        response_table("the same in the true mask", "dose_synthetic_true_mask", drawn.true_mask, table)
        lean_table(drawn, table)
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds tum01/")
    parser.add_argument("--network", type=Path, required=True, help="folder with card.toml")
    parser.add_argument("--seeds", type=Path, nargs="*", default=[], help="networks of other seeds")
    parser.add_argument("--volumes", type=int, default=300)
    parser.add_argument("--toml", type=Path, help="write the numbers for the card here")
    given = parser.parse_args()
    table = evaluate([given.network, *given.seeds], given.data, given.volumes)
    if given.toml:
        given.toml.write_text("\n".join(table.toml) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Anatomy of the test stacks: contours through drawn landmarks that change smoothly from slice to slice.

Another family of shapes than the training generator's (``procedural.py`` draws superellipses, the
atlas is a CT): here every outline is a periodic spline through landmarks in millimetres. The origin
is the middle of the spinal canal, x grows to the patient's left, y to the back. All sizes are chosen
by us after an adult lumbar spine: a compartment is about 65 mm by 40 mm (NETWORK notes: 22 cm2 in a man).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw
from scipy.interpolate import CubicSpline

from models.training.tissues import Codes, Floats, Tissue

#: Landmarks of one compartment at mid-lumbar level: distance from the midline, distance behind the canal.
_LANDMARKS: Final = np.array(
    [
        (3.6, 17.0),
        (14.0, 14.0),
        (27.0, 9.0),
        (44.0, 10.0),
        (60.0, 16.0),
        (68.0, 26.0),
        (62.0, 38.0),
        (46.0, 46.0),
        (28.0, 50.0),
        (12.0, 49.0),
        (4.2, 44.0),
        (3.4, 30.0),
    ]
)
_CURVE_POINTS: Final = 96


@dataclass(frozen=True, eq=False)
class Canvas:
    """The fine grid on which one thin slice is drawn, row 0 anterior, column 0 the patient's right."""

    rows: int
    columns: int
    sample_mm: tuple[float, float]
    #: Row and column of the canal's middle.
    canal: tuple[float, float]

    def inside(self, points_mm: np.ndarray) -> np.ndarray:
        """Samples within a closed polygon of (x, y) points."""
        column = points_mm[:, 0] / self.sample_mm[1] + self.canal[1]
        row = points_mm[:, 1] / self.sample_mm[0] + self.canal[0]
        picture = Image.new("1", (self.columns, self.rows))
        ImageDraw.Draw(picture).polygon(list(zip(column.tolist(), row.tolist(), strict=True)), fill=1)
        return np.asarray(picture, dtype=bool)


@dataclass(frozen=True, eq=False)
class Person:
    """Everything about one drawn trunk that is the same in all its slices, or drifts along them."""

    #: Landmarks of the right and the left compartment at the caudal and the cranial end, (2, 2, points, 2).
    landmarks: Floats
    #: Gap of fat between muscle and fascia, and width of the fascia, in mm.
    gap_mm: float
    fascia_mm: float
    #: Border between multifidus and erector spinae: distance from the midline at depth 30 mm, and slope.
    border: tuple[float, float]
    #: Subcutaneous fat behind, at the flank and in front.
    fat_mm: tuple[float, float, float]
    skin_mm: float
    wall: tuple[float, float]
    #: Harmonics that make each blob no ellipse, by its number.
    wobble: Floats
    organs: tuple[tuple[float, float, float, float, int], ...]
    tilt_mm: tuple[float, float]
    transverse: float
    level: float
    level_per_mm: float


def draw_person(rng: np.random.Generator) -> Person:
    """A person by chance: thin to obese, slight to strong, sides not quite alike."""
    width, depth = rng.uniform(0.78, 1.10), rng.uniform(0.78, 1.14)
    common = rng.normal(0.0, 1.3, (len(_LANDMARKS), 2))
    landmarks = np.empty((2, 2, len(_LANDMARKS), 2))
    for side in range(2):
        own = rng.normal(0.0, 0.8, common.shape)
        size = np.array([width, depth]) * rng.normal(1.0, 0.04)
        for end in range(2):
            moved = _LANDMARKS * size + common + own + rng.normal(0.0, 0.8, common.shape)
            # Next to the spinous process nothing crosses the midline.
            moved[:, 0] = np.maximum(moved[:, 0], 2.2)
            landmarks[end, side] = moved
    behind = float(np.exp(rng.uniform(np.log(4.0), np.log(50.0))))
    organs = tuple(
        (
            rng.uniform(-95.0, 95.0),
            rng.uniform(-120.0, -48.0),
            rng.uniform(8.0, 26.0),
            rng.uniform(8.0, 22.0),
            int(rng.choice([Tissue.BOWEL, Tissue.BOWEL, Tissue.LIVER, Tissue.GAS, Tissue.VESSEL])),
        )
        for _ in range(int(rng.integers(8, 36)))
    )
    return Person(
        landmarks=landmarks.astype(np.float32),
        gap_mm=float(rng.choice([0.0, rng.uniform(0.0, 2.5)])),
        fascia_mm=rng.uniform(0.5, 1.4),
        border=(rng.uniform(15.0, 23.0) * width, rng.uniform(-0.25, 0.1)),
        fat_mm=(behind, behind * rng.uniform(0.5, 1.2) + 2.0, behind * rng.uniform(0.4, 1.5) + 2.0),
        skin_mm=rng.uniform(1.2, 2.6),
        wall=(rng.uniform(108.0, 140.0), rng.uniform(66.0, 95.0)),
        wobble=rng.normal(0.0, 0.05, (64, 8)).astype(np.float32),
        organs=organs,
        tilt_mm=(rng.normal(0.0, 0.03), rng.normal(0.0, 0.05)),
        transverse=rng.uniform(0.0, 1.0),
        level=rng.uniform(0.0, 0.6),
        level_per_mm=1.0 / 180.0,
    )


@dataclass(frozen=True, eq=False)
class ThinSlice:
    """One drawn section without thickness."""

    tissue: Codes
    #: 0 outside, 1 compartment of the patient's right, 2 of the left.
    side: Codes


def draw_section(person: Person, canvas: Canvas, height_mm: float, share: float) -> ThinSlice:
    """The section at a height above the most caudal one, ``share`` of the way up the stack."""
    shift = np.array([person.tilt_mm[0], person.tilt_mm[1]]) * height_mm
    level = person.level + height_mm * person.level_per_mm
    sides = [_compartment(person, side, share, level) + shift for side in range(2)]
    tissue = np.zeros((canvas.rows, canvas.columns), np.uint8)
    _trunk(tissue, person, canvas, sides, shift)
    _belly(tissue, person, canvas, shift, share)
    _deep_muscles(tissue, person, canvas, shift, level)
    for points in sides:
        tissue[canvas.inside(_grown(points, person.gap_mm + person.fascia_mm))] = Tissue.FASCIA
    for points in sides:
        tissue[canvas.inside(_grown(points, person.gap_mm))] = Tissue.DEEP_FAT
    side_map = np.zeros_like(tissue)
    for number, points in enumerate(sides, start=1):
        inside = canvas.inside(points)
        side_map[inside] = number
        tissue[inside] = Tissue.SPINAE
        across = np.abs(_across(canvas) - shift[0])
        edge = person.border[0] + person.border[1] * (_down(canvas) - shift[1] - 30.0)
        tissue[inside & (across < edge)] = Tissue.MULTIFIDUS
    bone = _spine(tissue, person, canvas, shift, level)
    side_map[bone] = 0
    return ThinSlice(tissue, side_map)


def border_distance_mm(person: Person, canvas: Canvas) -> Floats:
    """Distance of each sample from the septum between multifidus and erector spinae, sideways."""
    edge = person.border[0] + person.border[1] * (_down(canvas) - 30.0)
    distance: Floats = (np.abs(_across(canvas)) - edge).astype(np.float32)
    return distance


def _across(canvas: Canvas) -> Floats:
    """Distance to the patient's left of each column, shape (1, columns)."""
    columns: Floats = ((np.arange(canvas.columns) - canvas.canal[1]) * canvas.sample_mm[1]).astype(np.float32)
    return columns[None]


def _down(canvas: Canvas) -> Floats:
    """Distance to the back of each row, shape (rows, 1)."""
    rows: Floats = ((np.arange(canvas.rows) - canvas.canal[0]) * canvas.sample_mm[0]).astype(np.float32)
    return rows[:, None]


def _curve(landmarks: np.ndarray) -> np.ndarray:
    """A smooth closed curve through the landmarks."""
    closed = np.vstack([landmarks, landmarks[:1]])
    spline = CubicSpline(np.arange(len(closed)), closed, bc_type="periodic")
    return np.asarray(spline(np.linspace(0.0, len(landmarks), _CURVE_POINTS, endpoint=False)))


def _compartment(person: Person, side: int, share: float, level: float) -> np.ndarray:
    """Outline of one compartment; side 0 is the patient's right (x below 0)."""
    points = person.landmarks[0, side] * (1 - share) + person.landmarks[1, side] * share
    points = points.astype(np.float64)
    # Towards the sacrum the lateral part grows flat; towards the ribs the pair grows narrow and thick.
    lateral = np.clip((points[:, 0] - 25.0) / 45.0, 0.0, 1.0)
    low, high = np.clip(0.35 - level, 0.0, 1.0), np.clip(level - 0.6, 0.0, 1.0)
    points[:, 1] -= lateral * low * 0.9 * (points[:, 1] - 22.0)
    points[:, 0] *= 1.0 - 0.22 * high
    points[:, 1] += 3.0 * low
    curve = _curve(points)
    curve[:, 0] = np.maximum(curve[:, 0], 1.6)
    return curve * np.array([-1.0 if side == 0 else 1.0, 1.0])


def _grown(points: np.ndarray, distance_mm: float) -> np.ndarray:
    """A closed curve moved outwards along its normals."""
    along = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1) / (np.linalg.norm(along, axis=1)[:, None] + 1e-9)
    away = np.sign(np.sum((points - points.mean(0)) * normal))
    return points + away * distance_mm * normal


def _blob(
    person: Person, number: int, centre: np.ndarray, half: tuple[float, float], *, bend: float = 1.0
) -> np.ndarray:
    """A rounded outline that is no ellipse; ``bend`` scales how much."""
    turn = np.linspace(0.0, 2 * np.pi, 64, endpoint=False)
    waves = bend * person.wobble[number % len(person.wobble)]
    radius = 1.0 + sum(
        waves[2 * k] * np.cos((k + 2) * turn) + waves[2 * k + 1] * np.sin((k + 2) * turn) for k in range(4)
    )
    outline = np.stack([half[0] * radius * np.cos(turn), half[1] * radius * np.sin(turn)], axis=1)
    return np.asarray(outline + centre)


def _trunk(tissue: Codes, person: Person, canvas: Canvas, sides: list[np.ndarray], shift: np.ndarray) -> None:
    """Skin and subcutaneous fat around abdominal wall and back muscles."""
    centre = np.array([0.0, -35.0]) + shift
    turn = np.linspace(-np.pi, np.pi, 180, endpoint=False)
    back = np.abs((turn - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi)
    wide, deep = person.wall
    core = 1.0 / np.hypot(np.cos(turn) / wide, np.sin(turn) / deep)
    around = np.vstack([_grown(points, person.gap_mm + person.fascia_mm + 0.5) for points in sides]) - centre
    angles = np.arctan2(around[:, 1], around[:, 0])
    reach = np.zeros_like(core)
    np.maximum.at(reach, ((angles + np.pi) / (2 * np.pi) * 180).astype(int) % 180, np.hypot(*around.T))
    # The hull of the muscles: between two of their points the line, not the hollow.
    spread = np.max([np.roll(reach, k) - 0.35 * abs(k) for k in range(-8, 9)], axis=0)
    core = np.maximum(core, spread)
    front = np.cos(turn + np.pi / 2).clip(0.0)
    flank = np.abs(np.cos(turn))
    weight = np.stack([np.cos(back).clip(0.0) + 0.02, flank + 0.02, front + 0.02])
    thick = (np.array(person.fat_mm)[:, None] * weight).sum(0) / weight.sum(0)
    for extra, kind in (
        (thick + person.skin_mm, Tissue.SKIN),
        (thick, Tissue.SUBCUTANEOUS_FAT),
    ):
        radius = core + extra
        outline = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1) + centre
        tissue[canvas.inside(outline)] = kind
    membrane = core + 0.55 * thick + person.wobble[0, 0] * 20.0 * np.sin(5 * turn)
    if person.fat_mm[0] > 12.0:
        for extra, kind in ((0.5, Tissue.FASCIA), (0.0, Tissue.SUBCUTANEOUS_FAT)):
            outline = np.stack([(membrane + extra) * np.cos(turn), (membrane + extra) * np.sin(turn)], axis=1)
            tissue[canvas.inside(outline + centre)] = kind


def _belly(tissue: Codes, person: Person, canvas: Canvas, shift: np.ndarray, share: float) -> None:
    """Abdominal wall, the fat behind it, and organs of all kinds."""
    centre = np.array([0.0, -35.0]) + shift
    wide, deep = person.wall
    front = _down(canvas) < 12.0 + shift[1]
    wall = canvas.inside(_blob(person, 1, centre, (wide - 2.0, deep - 2.0), bend=0.3)) & front
    tissue[wall] = Tissue.OUTER_MUSCLE
    cavity = canvas.inside(_blob(person, 1, centre, (wide - 15.0, deep - 12.0), bend=0.3)) & front
    tissue[cavity] = Tissue.DEEP_FAT
    for number, (x, y, half_x, half_y, kind) in enumerate(person.organs):
        swell = 0.6 + 0.4 * np.sin(number + 3.0 * share)
        blob = _blob(person, 2 + number, np.array([x, y]) + shift, (half_x * swell, half_y * swell))
        tissue[canvas.inside(blob) & cavity] = kind


def _deep_muscles(tissue: Codes, person: Person, canvas: Canvas, shift: np.ndarray, level: float) -> None:
    """Psoas and quadratus lumborum."""
    low = np.clip(1.0 - level, 0.2, 1.0)
    for number, side in enumerate((-1.0, 1.0)):
        middle = np.array([side * 44.0, -22.0]) + shift
        psoas = _blob(person, 30 + number, middle, (10.0 + 10.0 * low, 20.0 * low + 4.0))
        tissue[canvas.inside(psoas)] = Tissue.DEEP_MUSCLE
        lumborum = _blob(person, 32 + number, np.array([side * 58.0, 2.0]) + shift, (16.0, 6.5))
        tissue[canvas.inside(lumborum)] = Tissue.DEEP_MUSCLE


def _spine(tissue: Codes, person: Person, canvas: Canvas, shift: np.ndarray, level: float) -> np.ndarray:
    """Vertebral body or disc, arch, processes and canal; returns the bony arch."""
    body = canvas.inside(_blob(person, 40, np.array([0.0, -26.0]) + shift, (25.0, 17.0)))
    rim = canvas.inside(_blob(person, 40, np.array([0.0, -26.0]) + shift, (23.6, 15.6)))
    in_level = (level * 180.0 / 36.0) % 1.0
    tissue[body] = Tissue.CORTEX
    tissue[rim] = Tissue.DISC if in_level < 0.25 else Tissue.MARROW
    spinous = np.array([(-2.6, 8.0), (2.6, 8.0), (3.4, 30.0), (3.0, 44.0), (-3.0, 44.0), (-3.4, 30.0)])
    lamina = np.array([(-16.0, 4.0), (16.0, 4.0), (13.0, 11.0), (3.0, 16.0), (-3.0, 16.0), (-13.0, 11.0)])
    parts = [lamina] if in_level < 0.3 else [lamina, spinous]
    if in_level > 0.45:
        reach = 26.0 + 10.0 * person.transverse
        process = np.array([(12.0, -4.0), (reach, 0.0), (reach, 5.0), (14.0, 7.0)])
        parts += [process * np.array([side, 1.0]) for side in (-1.0, 1.0)]
    bone = np.zeros(tissue.shape, bool)
    marrow = np.zeros(tissue.shape, bool)
    for part in parts:
        curve = _curve(part + shift)
        bone |= canvas.inside(curve)
        marrow |= canvas.inside(_grown(curve, -1.4))
    tissue[bone] = Tissue.CORTEX
    tissue[marrow] = Tissue.MARROW
    tissue[canvas.inside(_blob(person, 41, shift, (10.5, 8.5)))] = Tissue.DEEP_FAT
    tissue[canvas.inside(_blob(person, 42, shift, (8.5, 6.8)))] = Tissue.FLUID
    for k in range(5):
        root = np.array([-4.0 + 2.0 * k, 1.5 + 0.4 * k * (4 - k)]) + shift
        tissue[canvas.inside(_blob(person, 43 + k, root, (1.2, 1.2)))] = Tissue.NERVE
    return bone

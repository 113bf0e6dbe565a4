"""Which contrast a frame has: standard attributes first, then the words of vendors and sites.

Limits of echo and repetition time separate the usual ranges of clinical spine protocols (T1 spin
echo: TE 8-25, TR 400-1100 ms; proton density: TE 10-50, TR above 1500; T2 spin echo: TE 60-130, TR
above 800 in 3-D and above 2000 in 2-D). They lie in the gaps between these ranges, chosen by us.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Final

from service.core.series import Contrast
from service.dicom.headers import Attributes
from service.dicom.pulse import PulseSequence

#: ImageType values 3 and beyond, ComplexImageComponent and AcquisitionContrast that name a Dixon part.
DIXON_TOKENS: Final[dict[str, Contrast]] = {
    "W": "water",
    "WATER": "water",
    "F": "fat",
    "FAT": "fat",
    "IP": "in_phase",
    "IN_PHASE": "in_phase",
    "INPHASE": "in_phase",
    "IN": "in_phase",
    "OP": "opposed",
    "OPP": "opposed",
    "OPP_PHASE": "opposed",
    "OPPOSED_PHASE": "opposed",
    "OUT_PHASE": "opposed",
    "OUTPHASE": "opposed",
    "OUT": "opposed",
    "FF": "fat_fraction",
    "PDFF": "fat_fraction",
    "FATFRAC": "fat_fraction",
    "FAT_FRAC": "fat_fraction",
    "FAT_FRACTION": "fat_fraction",
    "FAT FRACTION": "fat_fraction",
    "PROTON_DENSITY_FAT_FRACTION": "fat_fraction",
}
#: ImageType values of maps and of other parts of the complex signal, which show no tissue contrast.
MAP_TOKENS: Final = frozenset(
    {
        "P",
        "PHASE",
        "PHASE MAP",
        "R",
        "REAL",
        "I",
        "IMAGINARY",
        "PHASE_MAP",
        "ADC",
        "FA",
        "TRACEW",
        "DIFFUSION",
    }
    | {"T1 MAP", "T2 MAP", "T2STAR MAP", "T2_STAR_MAP", "T1_MAP", "T2_MAP", "R2_MAP", "R2STAR_MAP", "R2*"}
    | {"T2*", "R2 MAP", "FIELD_MAP", "B0", "B1", "SWI", "PERFUSION", "VELOCITY", "M_PCA", "P_PCA", "QUANTITY"}
)
DIXON_WORDS: Final[dict[str, Contrast]] = {
    **dict.fromkeys(("w", "water", "wasser"), "water"),
    **dict.fromkeys(("f", "fat", "fett"), "fat"),
    **dict.fromkeys(("in", "ip", "inphase"), "in_phase"),
    **dict.fromkeys(("opp", "op", "oop", "out", "outphase", "opposed"), "opposed"),
    **dict.fromkeys(("ff", "pdff", "fatfraction", "fatfrac"), "fat_fraction"),
}
DIXON_FAMILY: Final = re.compile(r"dixon|lava.?flex|\bflex\b|\bideal|dixquant|vibe.*_(?:in|opp|w|f)(?![a-z])")
FAT_SUPPRESSED_WORDS: Final = re.compile(
    r"(?<![a-z])(?:fs|fatsat|fat.?sat\w*|fat.?sup\w*|spair|spir|stir|tirm|chess|we|waterexc\w*|proset)(?![a-z])"
)
SINGLE_SHOT_WORDS: Final = re.compile(
    r"haste|ssfse|ss.?fse|ss.?tse|sshtse|ssh.?tse|single.?shot|sshot|(?<![a-z])fase(?![a-z])"
)
OTHER_WORDS: Final = re.compile(
    r"flair|(?<![a-z])(?:dwi|dti|adc|diff\w*|trufi|fiesta|b?ssfp|btfe|medic|merge|swi|tof|pd|pdw|myelo\w*)(?![a-z])"
    r"|t2.?(?:\*|star)|t1.?map|t2.?map"
)
T2_WORDS: Final = re.compile(r"(?<![a-z0-9])t2(?![0-9*])")
T1_WORDS: Final = re.compile(r"(?<![a-z0-9])t1(?![0-9*])")

T2_MIN_TE_MS: Final = 60.0
#: Down to this echo time the site's own word decides between proton density and T2.
CALLED_T2_MIN_TE_MS: Final = 45.0
T2_MIN_TR_MS: Final = 800.0
T1_MAX_TE_MS: Final = 35.0
T1_MAX_TR_MS: Final = 1300.0
#: Gradient echo: later echoes are T2*-weighted; clinical Dixon and FLASH echoes come before.
GRADIENT_T1_MAX_TE_MS: Final = 12.0
#: STIR nulls fat: TI near 150-180 ms at 1.5 T and 200-230 ms at 3 T (T1 of fat times ln 2).
STIR_TI_MS: Final = (70.0, 300.0)
#: Echo trains of 2-D turbo spin echo in the spine have 10 to 35 echoes, HASTE has 80 and more.
SINGLE_SHOT_MIN_ECHOES: Final = 64
#: Chemical shift between water and the main fat peak, and the proton's gyromagnetic ratio.
FAT_SHIFT_PPM: Final = 3.4
PROTON_MHZ_PER_TESLA: Final = 42.577
#: Evidence where there is none.
NOTHING_NAMED: Final = "no attribute names the contrast"
#: Within this share of a cycle from exact opposition the boundary of fat and muscle is dark.
OPPOSED_WITHIN_CYCLES: Final = 0.15


@dataclass(frozen=True, kw_only=True)
class ContrastReading:
    """A contrast, and the attributes that decided it."""

    contrast: Contrast
    evidence: str
    #: The part of a Dixon acquisition that the headers name, whatever contrast that part has.
    part: Contrast | None = None


def read_contrast(attributes: Attributes) -> ContrastReading:
    """The contrast of one frame; "other" where it is none of ours or cannot be told."""
    modality = attributes.code("Modality")
    if modality != "MR":
        return ContrastReading(contrast="other", evidence=f"Modality={modality}")
    timed = _by_timing(attributes)
    named = _named_component(attributes) or _described_dixon(attributes)
    if named and named.contrast in DIXON_TOKENS.values():
        named = replace(named, part=named.contrast)
    if named and named.contrast == "in_phase" and timed and timed.contrast in ("t2_tse", "t2_haste"):
        # The in-phase image of a Dixon turbo spin echo is its plain T2 image.
        evidence = f"{named.evidence}, {timed.evidence}"
        return ContrastReading(contrast=timed.contrast, evidence=evidence, part=named.part)
    return named or timed or _by_words(attributes)


def image_types(attributes: Attributes) -> tuple[str, ...]:
    """ImageType and FrameType, in capitals."""
    return attributes.codes("FrameType") or attributes.codes("ImageType")


def dixon_part(attributes: Attributes) -> Contrast | None:
    """The Dixon part that ImageType names."""
    for token in image_types(attributes)[2:]:
        if token in DIXON_TOKENS:
            return DIXON_TOKENS[token]
    return None


def _named_component(attributes: Attributes) -> ContrastReading | None:
    """What ImageType, FrameType, ComplexImageComponent or AcquisitionContrast say outright."""
    types = image_types(attributes)
    evidence = "ImageType=" + "\\".join(types)
    part = dixon_part(attributes)
    mapped = sorted(MAP_TOKENS.intersection(types[2:]))
    if part == "fat_fraction" or (part and not mapped):
        return ContrastReading(contrast=part, evidence=evidence)
    if mapped:
        return ContrastReading(contrast="other", evidence=evidence)
    component = attributes.code("ComplexImageComponent")
    if component in ("PHASE", "REAL", "IMAGINARY"):
        return ContrastReading(contrast="other", evidence=f"ComplexImageComponent={component}")
    weighting = attributes.code("AcquisitionContrast")
    if weighting in ("DIFFUSION", "FLOW_ENCODED", "PERFUSION", "T2_STAR", "TAGGING", "FLUID_ATTENUATED"):
        return ContrastReading(contrast="other", evidence=f"AcquisitionContrast={weighting}")
    return None


def _described_dixon(attributes: Attributes) -> ContrastReading | None:
    """A Dixon part that only the description names, such as t1_vibe_dixon_tra_W or "WATER: Ax LAVA"."""
    for keyword in "SeriesDescription", "ProtocolName":
        text = attributes.text(keyword)
        lower = text.lower()
        words = re.findall(r"[a-z]+", lower)
        prefix = re.match(r"\s*(water|fat|in.?phase|out.?phase)\s*:", lower)
        if prefix:
            contrast = DIXON_WORDS[re.sub(r"[^a-z]", "", prefix[1])]
            return ContrastReading(contrast=contrast, evidence=f"{keyword}={text}")
        if not DIXON_FAMILY.search(lower):
            continue
        parts = [DIXON_WORDS[w] for w in words if w in DIXON_WORDS]
        if parts and not re.search(r"fat.?(?:sat|sup)", lower):
            return ContrastReading(contrast=parts[-1], evidence=f"{keyword}={text}")
    return None


def _by_timing(attributes: Attributes) -> ContrastReading | None:
    """The contrast by sequence and times; None where they are missing or fit no rule."""
    sequence = PulseSequence.read(attributes)
    if sequence.echo_ms is None or (sequence.repetition_ms is None and not sequence.spin_echo):
        return None
    evidence = sequence.evidence
    if sequence.inverted:
        return _by_inversion(sequence)
    suppressed = _fat_suppression(attributes)
    if suppressed:
        evidence = f"{evidence}, {suppressed} (fat is suppressed)"
    if suppressed or sequence.echo_planar or sequence.balanced:
        return ContrastReading(contrast="other", evidence=evidence)
    if sequence.gradient_echo:
        return _by_gradient_echo(sequence, attributes)
    return _by_spin_echo(sequence, attributes)


def _by_spin_echo(sequence: PulseSequence, attributes: Attributes) -> ContrastReading:
    """T1 or T2 by echo and repetition time; single-shot sequences may have no repetition time."""
    echo, repetition = sequence.echo_ms or 0.0, sequence.repetition_ms or math.inf
    called_t2 = T2_WORDS.search(_words(attributes)) is not None
    if repetition >= T2_MIN_TR_MS and (echo >= T2_MIN_TE_MS or (called_t2 and echo >= CALLED_T2_MIN_TE_MS)):
        return _t2(sequence, attributes)
    if echo <= T1_MAX_TE_MS and repetition <= T1_MAX_TR_MS:
        return ContrastReading(contrast="t1", evidence=sequence.evidence)
    return ContrastReading(contrast="other", evidence=sequence.evidence)


def _by_inversion(sequence: PulseSequence) -> ContrastReading:
    """STIR by its short inversion time; other inversions are not ours."""
    low, high = STIR_TI_MS
    short = sequence.inversion_ms is not None and low <= sequence.inversion_ms <= high
    return ContrastReading(contrast="stir" if short else "other", evidence=sequence.evidence)


def _fat_suppression(attributes: Attributes) -> str | None:
    """The attribute that says fat was made dark, which would turn fat into muscle."""
    options = {"FS", "FATSAT", "FAT_SAT", "SPIR", "SPAIR", "WE", "WEX"} & set(attributes.codes("ScanOptions"))
    if options:
        return "ScanOptions=" + "\\".join(sorted(options))
    spectral = attributes.code("SpectrallySelectedSuppression")
    if "FAT" in spectral:
        return f"SpectrallySelectedSuppression={spectral}"
    excitation = attributes.code("SpectrallySelectedExcitation")
    if excitation == "WATER":
        return f"SpectrallySelectedExcitation={excitation}"
    for keyword in "SeriesDescription", "ProtocolName":
        if FAT_SUPPRESSED_WORDS.search(attributes.text(keyword).lower()):
            return f"{keyword}={attributes.text(keyword)}"
    return None


def _by_gradient_echo(sequence: PulseSequence, attributes: Attributes) -> ContrastReading:
    """T1-weighted short echoes, unless water and fat oppose each other at this echo time."""
    echo = sequence.echo_ms or 0.0
    if sequence.field_tesla and sequence.field_tesla > 100:
        # Some scanners wrote gauss.
        return ContrastReading(contrast="other", evidence=f"{sequence.evidence}, field strength not usable")
    if echo > GRADIENT_T1_MAX_TE_MS or OTHER_WORDS.search(_words(attributes)):
        return ContrastReading(contrast="other", evidence=sequence.evidence)
    if sequence.field_tesla:
        shift_khz = FAT_SHIFT_PPM * PROTON_MHZ_PER_TESLA * sequence.field_tesla / 1000.0
        cycles = echo * shift_khz
        if abs(cycles % 1.0 - 0.5) <= OPPOSED_WITHIN_CYCLES:
            evidence = f"{sequence.evidence}, MagneticFieldStrength={sequence.field_tesla:g} T"
            return ContrastReading(contrast="opposed", evidence=evidence)
    return ContrastReading(contrast="t1", evidence=sequence.evidence)


def _t2(sequence: PulseSequence, attributes: Attributes) -> ContrastReading:
    """T2-weighted spin echo: single-shot by echo train or name, else turbo spin echo."""
    if OTHER_WORDS.search(_words(attributes)) and not T2_WORDS.search(_words(attributes)):
        return ContrastReading(contrast="other", evidence=f"{sequence.evidence}, {_described(attributes)}")
    name = attributes.text("SequenceName") or attributes.text("PulseSequenceName")
    words = f"{name} {_words(attributes)}".lower()
    if re.match(r"\*?hf?s?\d", name.lower()) or SINGLE_SHOT_WORDS.search(words):
        evidence = f"{sequence.evidence}, {f'SequenceName={name}' if name else _described(attributes)}"
        return ContrastReading(contrast="t2_haste", evidence=evidence)
    if sequence.echo_train >= SINGLE_SHOT_MIN_ECHOES and not sequence.volumetric:
        evidence = f"{sequence.evidence}, EchoTrainLength={sequence.echo_train}"
        return ContrastReading(contrast="t2_haste", evidence=evidence)
    return ContrastReading(contrast="t2_tse", evidence=sequence.evidence)


def _words(attributes: Attributes) -> str:
    """Description and protocol name in small letters."""
    return f"{attributes.text('SeriesDescription')} {attributes.text('ProtocolName')}".lower()


def _described(attributes: Attributes) -> str:
    """The description as evidence."""
    if attributes.text("SeriesDescription"):
        return f"SeriesDescription={attributes.text('SeriesDescription')}"
    return f"ProtocolName={attributes.text('ProtocolName')}"


def _by_words(attributes: Attributes) -> ContrastReading:
    """The last resort: what vendor and site call the series."""
    words = _words(attributes)
    evidence = _described(attributes)
    contrast: Contrast = "other"
    if re.search(r"(?<![a-z])(?:stir|tirm)(?![a-z])", words):
        contrast = "stir"
    elif FAT_SUPPRESSED_WORDS.search(words) or OTHER_WORDS.search(words):
        contrast = "other"
    elif SINGLE_SHOT_WORDS.search(words):
        contrast = "t2_haste"
    elif T2_WORDS.search(words):
        contrast = "t2_tse"
    elif T1_WORDS.search(words):
        contrast = "t1"
    elif not words.strip():
        evidence = NOTHING_NAMED
    return ContrastReading(contrast=contrast, evidence=evidence)

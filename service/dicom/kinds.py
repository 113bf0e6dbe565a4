"""What else the headers say of an image: its level of the spine, and whether it is a by-product."""

import re
from typing import Final

from service.core.series import Region
from service.dicom.contrast import dixon_part, image_types
from service.dicom.headers import Attributes

#: BodyPartExamined (PS3.16 Annex L, and what scanners write).
BODY_PARTS: Final[dict[str, Region]] = {
    **dict.fromkeys(
        ("LSPINE", "L SPINE", "L-SPINE", "LUMBAR", "LUMBARSPINE", "LUMBAR SPINE", "LWS"), "lumbar"
    ),
    **dict.fromkeys(
        ("LSSPINE", "LUMBOSACRAL SPINE", "LSPINE LUMBAR", "LUMBOSACRAL", "LENDENWIRBELSAEULE"), "lumbar"
    ),
    **dict.fromkeys(("TSPINE", "T SPINE", "T-SPINE", "THORACICSPINE", "THORACIC SPINE", "BWS"), "thoracic"),
    **dict.fromkeys(("TLSPINE", "THORACOLUMBAR SPINE", "TL SPINE"), "thoracolumbar"),
    **dict.fromkeys(("CSPINE", "C SPINE", "C-SPINE", "CERVICALSPINE", "CERVICAL SPINE", "HWS"), "cervical"),
    **dict.fromkeys(("WHOLESPINE", "WHOLE SPINE", "TOTALSPINE", "CTSPINE"), "whole_spine"),
}
#: BodyPartExamined (PS3.16 Annex L) of images in which no lumbar muscle is. Parts of the trunk are not among
#: them: where it is not told which, the drawing decides.
ELSEWHERE: Final = frozenset(
    {"HEAD", "BRAIN", "SKULL", "FACE", "ORBIT", "EYE", "EAR", "IAC", "NOSE", "SINUS", "JAW", "TMJ", "MAXILLA"}
    | {"MANDIBLE", "PITUITARY", "NECK", "HEADNECK", "THYROID", "LARYNX", "BREAST", "HEART", "SHOULDER", "ARM"}
    | {"CLAVICLE", "SCAPULA", "HUMERUS", "UPPERARM", "ELBOW", "FOREARM", "WRIST", "HAND", "FINGER", "THUMB"}
    | {"EXTREMITY", "LEG", "THIGH", "FEMUR", "KNEE", "PATELLA", "LOWERLEG", "CALF", "TIBIA", "ANKLE", "FOOT"}
    | {"CALCANEUS", "TOE"}
)
#: Words for the spine as such. BodyPartExamined is often wrong (15 %: Gueld et al., Proc. SPIE 4685, 2002),
#: so it is not believed against them.
SPINE_WORDS: Final = re.compile(
    r"spin(?:e|al|a)(?![a-z])|wirbel|vertebr|rachis|columna|colonna|(?<![a-z])ws(?![a-z])"
)
#: AnatomicRegionSequence (CID 4031, SNOMED CT).
REGION_CODES: Final[dict[str, Region]] = {
    "122496007": "lumbar",
    "122495006": "thoracic",
    "122494005": "cervical",
    "1217253001": "lumbar",
    "297173004": "lumbar",
    "1217256009": "thoracolumbar",
    "297172009": "thoracolumbar",
    "T-11503": "lumbar",
    "T-11502": "thoracic",
    "T-11501": "cervical",
}
#: Where such words stand, the most telling first.
DESCRIBING: Final = ("SeriesDescription", "ProtocolName", "StudyDescription")
#: Words of European languages for the levels, tried in this order.
REGION_WORDS: Final[dict[Region, re.Pattern[str]]] = {
    "whole_spine": re.compile(
        r"(?<![a-z])(?:(?:whole|total|full|entire).?spine|gws(?![a-z])|ganzwirbels\w*)"
    ),
    "thoracolumbar": re.compile(
        r"(?<![a-z])(?:t(?:h?)ora[ck]o.?lumb\w*|dorso.?lumb\w*|bws.{0,3}lws|tl[ _-]?spine)"
    ),
    "lumbar": re.compile(
        r"(?<![a-z])(?:l[uo]mb\w*|lendenw\w*|ländrygg\w*|l[ęe]d[źz]w\w*|ls?[ _-]?spine)"
        r"|(?<![a-z])(?:lws|lwk|lsp)(?![a-z])"
    ),
    "thoracic": re.compile(
        r"(?<![a-z])(?:thora[ck]\w*.?spine|t[ _-]?spine|dorsal.?spine|brustwirb\w*|(?:bws|bwk)(?![a-z]))"
        r"|(?:rachis|columna|rachide) dorsal"
    ),
    "cervical": re.compile(
        r"(?<![a-z])(?:cervi[ck]\w*|zervi[ck]\w*|halswirb\w*|c[ _-]?spine|(?:hws|hwk)(?![a-z]))"
    ),
}
#: ImageType values of images that were computed from other images and show no tissue as acquired.
DERIVED_TOKENS: Final = frozenset(
    {"MPR", "CSA MPR", "CPR", "MIP", "CSA MIP", "MINIP", "MIN IP", "MAX IP", "PROJECTION IMAGE", "PROJECTION"}
    | {
        "REFORMATTED",
        "RESAMPLED",
        "SUBTRACTION",
        "SUB",
        "CSA SUB",
        "SUBTRACT",
        "VOLREN",
        "VOLUME_RENDER",
        "VRT",
    }
    | {"SCREEN SAVE", "CSA SCREEN SAVE", "SURFACE_RENDER", "CURVED_MPR", "MAX_IP", "MIN_IP", "COLLAPSE"}
    | {"STDDEV", "STD_DEVIATION", "THICK", "FUSED", "CSAPARALLEL", "CSARADIAL"}
)
#: ImageType value 4 of the enhanced classes (PS3.3 C.8.16.1.4): pixels mixed from several images.
ENHANCED_DERIVED: Final = frozenset(
    {"DIVISION", "MASKED", "MAXIMUM", "MEDIAN", "MINIMUM", "MULTIPLICATION", "RESAMPLED", "STD_DEVIATION"}
    | {"SUBTRACTION"}
)
#: Field strengths of scanners, in tesla; some wrote gauss, and other numbers are none.
TESLA: Final = (0.1, 20.0)
GAUSS_PER_TESLA: Final = 10_000.0
LOCALIZER_WORDS: Final = re.compile(
    r"(?<![a-z])(?:loc|localiser|localizer|localizers|lokalizer|scout|survey|topogram|plan.?scan|calib\w*|(?:coil|asset|b1|ref).?(?:survey|cal|scan|map)|aa(?:head|spine|knee)?.?scout|smart.?(?:brain|spine)|3.?pl(?:ane)?.?loc\w*)(?![a-z])"
)


def read_scanner(attributes: Attributes) -> str:
    """Maker, model and field strength, such as "SIEMENS Avanto_fit 1.5 T"; empty where one is not known.

    The first word of the maker alone, because an update of its software may change the others.
    """
    maker = attributes.code("Manufacturer").split()
    model = " ".join(attributes.text("ManufacturerModelName").split())
    field = attributes.number("MagneticFieldStrength") or 0.0
    field = field / GAUSS_PER_TESLA if field > 5 * TESLA[1] else field
    if not maker or not model or not TESLA[0] <= field <= TESLA[1]:
        return ""
    return f"{maker[0]} {model[:64]} {field:.1f} T"


def is_derived(attributes: Attributes) -> bool:
    r"""Whether the image was reformatted, projected, subtracted or otherwise made from other images.

    DERIVED\PRIMARY alone says little: Dixon water and fat images and converted series carry it too.
    """
    types = image_types(attributes)
    if DERIVED_TOKENS.intersection(types):
        return True
    if types[3:4] and types[3] in ENHANCED_DERIVED:
        return True
    technique = attributes.code("VolumeBasedCalculationTechnique")
    if technique not in ("", "NONE", "MIXED"):
        return True
    if types[:2] == ("DERIVED", "SECONDARY") and not _is_dixon(attributes):
        return True
    how = attributes.code("DerivationDescription")
    return types[:1] == ("DERIVED",) and "MEDCOM RESAMPLED" in how


def _is_dixon(attributes: Attributes) -> bool:
    """Whether ImageType names a part of a Dixon acquisition, which some scanners call SECONDARY."""
    return dixon_part(attributes) is not None or any("DIXON" in t for t in image_types(attributes))


def is_localizer(attributes: Attributes) -> bool:
    """Whether the image only plans others."""
    words = f"{attributes.text('SeriesDescription')} {attributes.text('ProtocolName')}".lower()
    return "LOCALIZER" in image_types(attributes) or bool(LOCALIZER_WORDS.search(words))


def read_region(attributes: Attributes) -> tuple[Region, str]:
    """Level of the spine, or a part of the body without it, and the attribute that names it, or "unknown".

    Geometry alone cannot tell it: the table position is not the patient's.
    """
    for item in attributes.items("AnatomicRegionSequence"):
        code = Attributes((item,)).text("CodeValue")
        if code in REGION_CODES:
            return REGION_CODES[code], f"AnatomicRegionSequence={code}"
    part = attributes.code("BodyPartExamined")
    if part in BODY_PARTS:
        return BODY_PARTS[part], f"BodyPartExamined={part}"
    for keyword in DESCRIBING:
        text = attributes.text(keyword)
        for region, pattern in REGION_WORDS.items():
            if pattern.search(text.lower()):
                return region, f"{keyword}={text}"
    if part in ELSEWHERE and not any(
        SPINE_WORDS.search(attributes.text(each).lower()) for each in DESCRIBING
    ):
        return "elsewhere", f"BodyPartExamined={part}"
    if part:
        return "unknown", f"BodyPartExamined={part} names no level of the spine"
    return "unknown", "no attribute names the level"

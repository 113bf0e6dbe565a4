"""PixelMed's validator of structured reports, and what of its answers is known to be wrong."""

import subprocess
from pathlib import Path

import pytest

from tests.make.tools import program

JAR = Path("/usr/share/java/pixelmed.jar")
#: Java 17 stops at limits that the validator's style sheets exceed.
LIMITS = [f"-Djdk.xml.xpath{name}=0" for name in ("ExprGrpLimit", "ExprOpLimit", "TotalOpLimit")]
#: (Where in the template, message), with the reason.
KNOWN_ERRORS = (
    # It judges a group of TID 1501, which has no region, by TID 1411.
    ('[Row 5] SCOORD (111030,DCM,"Image Region")', "Missing conditional content item"),
    ('[Row 7] IMAGE (121191,DCM,"Referenced Segment")', "Missing conditional content item"),
    ('[Row 10] SCOORD3D (121231,DCM,"Volume Surface")', "Missing conditional content item"),
    # It takes what TID 310 and 311 put below a number for the wildcard rows of TID 1419 and 300.
    ("[Row 5] NUM */[Row 6] CODE *", "expected HAS CONCEPT MOD - found HAS PROPERTIES"),
    ("[Row 5] NUM */[Row 13] NUM *", "expected INFERRED FROM - found HAS PROPERTIES"),
    ("[Row 5] NUM */[Row 14] NUM *", "expected INFERRED FROM - found HAS PROPERTIES"),
    ("[Row 1] NUM */[Row 2] CODE *", "expected HAS CONCEPT MOD - found HAS PROPERTIES"),
    ("[Row 1] NUM */[Row 9] NUM *", "expected INFERRED FROM - found HAS PROPERTIES"),
    ("[Row 1] NUM */[Row 10] NUM *", "expected INFERRED FROM - found HAS PROPERTIES"),
)
KNOWN_WARNINGS = (
    # Newer editions write these words in lower case.
    ('"Source Series for Segmentation"', "has different code meaning"),
    ('"Population Description"', "has different code meaning"),
    # Items that newer editions of the templates have.
    ('TEXT (122405,DCM,"Algorithm Manufacturer")', "Content Item not in template"),
    ('CODE (276214006,SCT,"Finding category")', "Content Item not in template"),
    # Our own concepts: the templates are extensible.
    ("99MYOSCREEN", "Content Item not in template"),
)


def pixelmed(path: Path) -> list[str]:
    """What it says of a report and is not known to be wrong; skips where it is not installed."""
    if not JAR.exists():
        pytest.skip("libpixelmed-java is not installed")
    command = [program("java"), *LIMITS, "-Xss64m", "-XX:+UseSerialGC", "-cp", str(JAR)]
    done = subprocess.run(
        [*command, "com.pixelmed.validate.DicomSRValidator", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    said = done.stdout + done.stderr
    assert "Root Template Validation Complete" in said, said[-2000:]
    left = []
    for line in said.splitlines():
        known = {"Error": KNOWN_ERRORS, "Warni": KNOWN_WARNINGS}.get(line[:5])
        if known is not None and not any(where in line and what in line for where, what in known):
            left.append(line)
    return left

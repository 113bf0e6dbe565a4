"""Where an analysis keeps what is needed without the images; light, for those who only look for it."""

from pathlib import Path

from service.errors import InvalidRequest

#: In the folder of the result.
KEPT_NAME = "kept.zip"


def require_kept(folder: Path) -> Path:
    """The file in a result's folder; raises InvalidRequest where there is none."""
    path = folder / KEPT_NAME
    if not path.is_file():
        raise InvalidRequest(
            "An earlier release kept too little to score this again without the images. Run it again.",
            reason="nothing_kept",
        )
    return path

"""Where real data for tests lies; it is never part of the repository."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def data_dir() -> Path | None:
    """MYOSCREEN_TEST_DATA, else ``../shared/data`` beside the repository, else None."""
    named = os.environ.get("MYOSCREEN_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if folder.is_dir() else None

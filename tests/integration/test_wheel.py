"""The wheel holds what the installed program needs, and nothing of the training."""

import subprocess
import sys
import zipfile

from tests.make.data import REPOSITORY


def test_the_wheel_carries_network_norms_policies_pages_and_migrations(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "service/_models/paraspinal/model.onnx",
        "service/_models/paraspinal/card.toml",
        "service/_models/norms/provisional-fsf.toml",
        "service/_models/policies/default.toml",
        "service/_models/rules/default.toml",
        "service/_models/rules/one-per-study.toml",
        "service/web/templates/analysis.html",
        "service/web/static/style.css",
        "service/db/migrations/env.py",
    } <= names
    assert not [name for name in names if "training" in name or name.startswith("tests/")]

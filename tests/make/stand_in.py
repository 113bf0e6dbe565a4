"""An analysis that takes no network: it writes one capture, as soon as the test lets it.

Run as a program it is a real worker process around that analysis: ``python -m tests.make.stand_in``.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydicom.uid import SecondaryCaptureImageStorage

from service import files, logs
from service.core.finding import Output, SeriesSection
from service.core.status import OutputKind
from service.dicom.identity import Written, uid
from service.pipeline import run
from service.pipeline.analyse import Result
from service.pipeline.inputs import Inputs
from service.settings import load
from service.worker import main
from tests.make.ledger import make_finding
from tests.make.series import mr_slice, save

#: While this file lies in HOME, an analysis that has begun does not end.
HOLD = "hold"
WORKSHOP: Any = SimpleNamespace(
    policy=SimpleNamespace(reference="default@1"),
    software="myoscreen test",
    segmenter=SimpleNamespace(provider="CPUExecutionProvider", precision="fp32"),
    card=SimpleNamespace(name="stand-in"),
)


def analyse(inputs: Inputs, _workshop: Any, *, at: Any, out: Path, supersedes: str | None = None) -> Result:
    """Write one capture whose identifier depends on the images and the time, as real ones do."""
    facts = inputs.first.facts
    uids = [each for _, stack in inputs.stacks for each in stack.facts.sop_instance_uids]
    sop = uid("stand-in", *sorted(uids), at.isoformat())
    path = save(
        mr_slice(
            SOPClassUID=SecondaryCaptureImageStorage,
            SOPInstanceUID=sop,
            Manufacturer="myoscreen",
            SeriesDescription="MYOSCREEN summary",
        ),
        out / "capture.dcm",
    )
    home = out.parents[2]
    while (home / HOLD).exists():
        time.sleep(0.02)
    written = Written(
        kind=OutputKind.SC,
        sop_class_uid=SecondaryCaptureImageStorage,
        sop_instance_uid=sop,
        path=path,
        sha256=files.sha256_of(path),
        size=path.stat().st_size,
    )
    finding = make_finding(imat=0.2)
    section = finding.series
    assert isinstance(section, SeriesSection)
    section = replace(section, series_uid=facts.series_uid, study_uid=facts.study_uid)
    outputs = (Output(kind="SC", sop_instance_uid=sop, path="capture.dcm"),)
    finding = replace(finding, series=section, supersedes=supersedes, outputs=outputs)
    return Result(finding=finding, written=(written,), seconds={"network": 0.0})


def work(analysis: Callable[..., Result] = analyse) -> None:
    """A worker with this analysis in the place of the real one."""
    run.analyse_inputs = analysis
    settings = load()
    logs.setup(style="text", level="INFO")
    main.work(settings, lambda: WORKSHOP)


if __name__ == "__main__":
    work()

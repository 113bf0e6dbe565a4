"""An analysis that takes no network: it writes one capture, as soon as the test lets it.

Run as a program it is a real worker process around that analysis: ``python -m tests.make.stand_in``.
"""

import functools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydicom.uid import SecondaryCaptureImageStorage

from service import files, logs
from service.core.finding import Output, SeriesSection
from service.core.status import OutputKind
from service.core.variant import Variant
from service.dicom.identity import Written, uid
from service.pipeline import attempt
from service.pipeline.analyse import Result
from service.pipeline.inputs import Inputs
from service.pipeline.job import Job, Outcome, Past, Perform
from service.worker import runner
from tests.make.ledger import make_finding
from tests.make.series import mr_slice, save

#: While this file lies in HOME, an analysis that has begun does not end.
HOLD = "hold"
RUNNER = "runner"
WORKSHOP: Any = SimpleNamespace(
    policy=SimpleNamespace(reference="default@1"),
    software="myoscreen test",
    segmenter=SimpleNamespace(provider="CPUExecutionProvider", precision="fp32"),
    card=SimpleNamespace(name="stand-in"),
)


def analyse(inputs: Inputs, _workshop: Any, *, at: Any, out: Path, past: Past) -> Result:
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
        variants=(Variant().name, Variant(flags=False).name),
    )
    finding = make_finding(imat=0.2)
    section = finding.series
    assert isinstance(section, SeriesSection)
    section = replace(section, series_uid=facts.series_uid, study_uid=facts.study_uid)
    outputs = (Output(kind="SC", sop_instance_uid=sop, path="capture.dcm"),)
    finding = replace(finding, series=section, outputs=outputs)
    finding = replace(finding, supersedes=past.superseded(finding.as_dict()).get(Variant().name))
    return Result(finding=finding, written=(written,), seconds={"network": 0.0})


def performing(workshop: Any = WORKSHOP) -> Perform:
    """Jobs done in this process; what they take and give is made text on the way, as between two."""

    def perform(job: Job, _wanted: Callable[[], bool]) -> Outcome:
        job = Job.from_dict(json.loads(json.dumps(job.as_dict())))
        outcome = attempt.attempt(job, workshop)
        return Outcome.from_dict(json.loads(json.dumps(outcome.as_dict())), out=job.out)

    return perform


def work() -> None:
    """A worker whose runners do this analysis in the place of the real one."""
    # The runner needs none of these.
    from service.cli.workshops import recipe_from  # noqa: PLC0415
    from service.settings import load  # noqa: PLC0415
    from service.worker import main, tasks  # noqa: PLC0415

    logs.setup(style="text", level="INFO")
    settings = load()
    # What a hospital waits for seconds, a test need not.
    main.RETRY_AFTER, tasks.RING_AGAIN_SECONDS = timedelta(seconds=0.2), 0.5
    main.Keeper = functools.partial(main.Keeper, finish_seconds=1.0)
    main.work(settings, recipe_from(settings), command=(sys.executable, "-m", "tests.make.stand_in", RUNNER))


def run_jobs() -> None:
    """The runner of that worker."""
    attempt.analyse_inputs = analyse
    sys.argv.remove(RUNNER)
    runner.Toolbox = lambda _recipe: SimpleNamespace(open=lambda _tools: WORKSHOP)
    runner.main()


if __name__ == "__main__":
    run_jobs() if RUNNER in sys.argv else work()

"""The finding of images that are not measured: by the rules, or because the patient opted out."""

from dataclasses import replace
from pathlib import Path

from service.errors import Reason
from service.pipeline.analyse import Result, Workshop, blank_finding, finding_without_images, write_finding
from service.pipeline.inputs import Inputs, why_not_eligible


def decline(inputs: Inputs, workshop: Workshop, reason: Reason, out: Path) -> Result:
    """Say why these images are not measured, without decoding them; the card has the first word."""
    reasons = why_not_eligible(inputs, workshop.card) or (reason,)
    finding = replace(blank_finding(inputs, workshop), status="not_eligible", reasons=reasons)
    write_finding(finding, out)
    return Result(finding=finding)


def leave_alone(workshop: Workshop, reason: Reason, out: Path) -> Result:
    """Say why images are not even looked at; nothing of what they say goes into the finding."""
    finding = finding_without_images((reason,), workshop, policy=workshop.policy.reference)
    finding = replace(finding, status="not_eligible")
    write_finding(finding, out)
    return Result(finding=finding)

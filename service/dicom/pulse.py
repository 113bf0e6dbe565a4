"""The pulse sequence of a frame, as far as the contrast depends on it."""

from dataclasses import dataclass
from typing import Final

from service.dicom.headers import Attributes

#: Spin echoes in the spine repeat far slower, gradient echoes of Dixon and FLASH faster. Chosen by us.
GRADIENT_MAX_TR_MS: Final = 200.0


@dataclass(frozen=True, kw_only=True)
class PulseSequence:
    """Echo formation and times, from MR Image or from Enhanced MR attributes."""

    echo_ms: float | None
    repetition_ms: float | None
    inversion_ms: float | None
    field_tesla: float | None
    echo_train: int
    spin_echo: bool
    inverted: bool
    gradient_echo: bool
    #: Balanced steady state, whose contrast is neither T1 nor T2.
    balanced: bool
    echo_planar: bool
    volumetric: bool
    evidence: str

    @classmethod
    def read(cls, attributes: Attributes) -> "PulseSequence":
        """A time of zero counts as absent; scanners write it where they have none."""
        kinds = attributes.codes("ScanningSequence")
        variants = attributes.codes("SequenceVariant")
        pulse = attributes.code("EchoPulseSequence")
        echo = attributes.number("EffectiveEchoTime") or attributes.number("EchoTime") or None
        repetition = attributes.number("RepetitionTime") or None
        spin = "SE" in kinds or pulse in ("SPIN", "BOTH")
        unnamed = not (kinds or pulse) and repetition is not None and repetition < GRADIENT_MAX_TR_MS
        steady = attributes.code("SteadyStatePulseSequence")
        return cls(
            echo_ms=echo,
            repetition_ms=repetition,
            inversion_ms=attributes.number("InversionTime") or attributes.number("InversionTimes"),
            field_tesla=attributes.number("MagneticFieldStrength"),
            echo_train=attributes.whole("EchoTrainLength") or 0,
            spin_echo=spin,
            inverted="IR" in kinds or attributes.code("InversionRecovery") == "YES",
            gradient_echo=not spin and ("GR" in kinds or pulse == "GRADIENT" or unnamed),
            balanced=("SS" in variants and "SP" not in variants) or steady == "BALANCED",
            echo_planar="EP" in kinds or attributes.code("EchoPlanarPulseSequence") == "YES",
            volumetric=attributes.code("MRAcquisitionType") == "3D",
            evidence=_evidence(attributes),
        )


def _evidence(attributes: Attributes) -> str:
    """The attributes that tell the sequence, as an auditor reads them."""
    kinds = "\\".join(attributes.codes("ScanningSequence"))
    parts = [f"ScanningSequence={kinds}"] if kinds else []
    if attributes.code("EchoPulseSequence"):
        parts.append(f"EchoPulseSequence={attributes.code('EchoPulseSequence')}")
    for keyword in "EffectiveEchoTime", "EchoTime", "RepetitionTime", "InversionTime", "InversionTimes":
        number = attributes.number(keyword)
        if number:
            parts.append(f"{keyword}={number:g} ms")
    return ", ".join(parts)

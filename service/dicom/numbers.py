"""One number of a report, with what made it and its place in a reference table."""

from typing import Final

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Measurement,
    MeasurementProperties,
    MeasurementStatisticalProperties,
    NumContentItem,
    RelationshipTypeValues,
)

from service.core import wording
from service.core.finding import Finding, NormFacts, Score
from service.core.language import ENGLISH, Words
from service.core.normtable import UNPROVEN
from service.dicom import codes
from service.dicom.identity import MANUFACTURER

#: More than any of the measures resolves; keeps each Numeric Value a short DS.
DECIMALS: Final = 4
#: Ends of the reference interval: the central 95 % of the reference people (CLSI EP28, for laboratories).
REFERENCE_Z: Final = 1.959964


def number(
    concept: CodedConcept,
    value: float,
    unit: CodedConcept,
    finding: Finding,
    *,
    score: Score | None = None,
    words: Words = ENGLISH,
) -> Measurement:
    """One number with the network that it came from and, where it was scored, its place in the norm."""
    return Measurement(
        name=concept,
        value=round(value, DECIMALS),
        unit=unit,
        algorithm_id=_algorithm(finding),
        properties=_properties(score, unit, words),
    )


def _algorithm(finding: Finding) -> AlgorithmIdentification | None:
    """TID 4019, on every number: viewers look for a child of each, and a number may be copied alone."""
    if finding.model is None:
        return None
    if finding.edited is not None and finding.definition is not None:
        # What was drawn by a person is not the network's; what measured it is the definition.
        return AlgorithmIdentification(
            name=finding.definition.id,
            version=finding.definition.version,
            parameters=[f"segmentation={finding.edited.algorithm_type}"],
            manufacturer=MANUFACTURER,
        )
    return AlgorithmIdentification(
        name=finding.model.name,
        version=finding.model.version,
        parameters=[f"model=sha256:{finding.model.sha256}"],
        family=codes.AI_FAMILY,
        manufacturer=MANUFACTURER,
    )


def _properties(score: Score | None, unit: CodedConcept, words: Words) -> MeasurementProperties | None:
    """Normality and, where the measure was compared, its place among the reference people (TID 310, 311)."""
    if score is None:
        return None
    if score.state != "scored" or score.z is None:
        return MeasurementProperties(normality=codes.UNDETERMINED)
    values = _population(score.norm_facts, unit) if score.norm_facts else []
    values.append(_value(codes.Z_SCORE, round(score.z, 3), codes.NO_UNITS))
    if score.percentile is not None:
        values.append(_value(codes.PERCENTILE, round(score.percentile, 1), codes.PERCENT))
    return MeasurementProperties(
        normality=normality(score),
        measurement_statistical_properties=MeasurementStatisticalProperties(
            values=values, description=_people(score, words), authority=_authority(score)
        ),
    )


def normality(score: Score) -> CodedConcept:
    """High or low where the whole 95 % interval of z lies outside the reference interval, else undetermined.

    A table that nobody validated for this measurement decides nothing, and nothing is ever called normal:
    a measure within the reference interval says nothing about the person's health.
    """
    if score.z_ci95 is None or score.norm_status in UNPROVEN:
        return codes.UNDETERMINED
    low, high = score.z_ci95
    if low > REFERENCE_Z:
        return codes.ABNORMALLY_HIGH
    return codes.ABNORMALLY_LOW if high < -REFERENCE_Z else codes.UNDETERMINED


def _population(facts: NormFacts, unit: CodedConcept) -> list[NumContentItem]:
    """Mean, standard deviation and median of the reference people at this age and sex (CID 226)."""
    factor = 100.0 if unit is codes.PERCENT else 1.0
    return [
        _value(codes.POPULATION_MEAN, round(factor * facts.mean, DECIMALS), unit),
        _value(codes.POPULATION_SD, round(factor * facts.sd, DECIMALS), unit),
        _value(codes.POPULATION_MEDIAN, round(factor * facts.m, DECIMALS), unit),
    ]


def _value(name: CodedConcept, value: float, unit: CodedConcept) -> NumContentItem:
    return NumContentItem(name, value, unit, relationship_type=RelationshipTypeValues.HAS_PROPERTIES)


def _people(score: Score, words: Words) -> str:
    """Who the reference people are and how the score was reckoned, beside the score itself.

    What the table says of its people stays in the language of the table.
    """
    said = [f"{wording.score_sentence(score, words)}."]
    facts = score.norm_facts
    if facts is not None:
        low, high = facts.observed_ages_years
        said += [
            f"{facts.title}.",
            f"{facts.people.rstrip('.')}; {facts.population} population, {facts.ancestry}.",
            f"{facts.scanner.rstrip('.')}; n {facts.n}, observed ages {low:.0f} to {high:.0f} years.",
            words(
                "Sex {sex}: L {l}, M {m}, S {s}.",
                sex=facts.sex,
                l=words.number(facts.l, ".4f"),
                m=words.number(facts.m, ".4f"),
                s=words.number(facts.s, ".4f"),
            ),
        ]
        if facts.height_exponent is not None or facts.scanner_shift is not None:
            adjusted = f"{words.number(facts.adjusted_value, '.4f')} {score.unit}"
            said.append(words("Compared after adjustment for height or scanner: {value}.", value=adjusted))
        if "measurement" not in facts.interval_holds:
            said.append(words("The interval of z holds the sampling error of the table alone."))
    caveats = words.retold(score.reason or "")
    if caveats:
        said.append(caveats)
    return " ".join(said)


def _authority(score: Score) -> str:
    """Whose table it is, and how far it may be trusted."""
    table = f"{score.norm or 'table not named'}, status: {score.norm_status or 'not stated'}"
    if score.norm_facts is None:
        return f"{MANUFACTURER} reference table {table}"
    return f"{score.norm_facts.citation} (as {MANUFACTURER} table {table}, sha256 {score.norm_facts.sha256})"

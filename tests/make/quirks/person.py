"""Who was imaged, and when."""

from functools import partial

from tests.make.quirks.making import each, having, one_person, raw, two_people
from tests.make.quirks.quirk import Quirk

PERSON = partial(Quirk, group="Person and time")

PERSON_ROWS = (
    PERSON(
        text="PatientAge 045Y, no birth date",
        make=having(PatientBirthDate=None, PatientAge="045Y"),
        facts={"age_years": 45.0},
    ),
    PERSON(
        text="PatientAge 45", make=having(PatientBirthDate="", PatientAge="45"), facts={"age_years": 45.0}
    ),
    PERSON(
        text="PatientAge 540M", make=having(PatientBirthDate="", PatientAge="540M"), facts={"age_years": 45.0}
    ),
    PERSON(
        text="PatientAge 45 J, as German systems write",
        make=raw(PatientBirthDate="", PatientAge="45 J"),
        facts={"age_years": 45.0},
    ),
    PERSON(
        text="PatientAge 18W: an infant",
        make=having(PatientBirthDate="", PatientAge="018W"),
        sets=("below_min_age",),
    ),
    PERSON(
        text="PatientAge 000Y, as anonymisers write: the age is not known",
        make=having(PatientBirthDate="", PatientAge="000Y"),
        facts={"age_years": None},
    ),
    PERSON(
        text="the dummy birth date 19000101",
        make=having(PatientBirthDate="19000101", PatientAge="045Y"),
        facts={"age_years": 45.0},
    ),
    PERSON(text="the birth date 00000000", make=raw(PatientBirthDate="00000000"), facts={"age_years": None}),
    PERSON(
        text="a birth date that is the study's: the age is not known",
        make=having(PatientBirthDate="20240229"),
        facts={"age_years": None},
    ),
    PERSON(
        text="a birth date after the study",
        make=having(PatientBirthDate="20300101", PatientAge="045Y"),
        facts={"age_years": 45.0},
    ),
    PERSON(
        text="an anonymised study with the birthday 1 January: PatientAge counts",
        make=having(PatientIdentityRemoved="YES", PatientBirthDate="19600101", PatientAge="062Y"),
        facts={"age_years": 62.0},
    ),
    PERSON(
        text="an anonymised study with the birthday 1 January and no PatientAge: the age is not known",
        make=having(PatientIdentityRemoved="YES", PatientBirthDate="19600101"),
        facts={"age_years": None},
    ),
    PERSON(
        text="the dummy study date 19000101: the date of the series counts",
        make=having(StudyDate="19000101"),
        facts={"age_years": 60.0},
    ),
    PERSON(
        text="dates with points, as ACR-NEMA wrote them",
        make=raw(PatientBirthDate="1964.02.29"),
        facts={"age_years": 60.0},
    ),
    PERSON(text="a child of ten", make=having(PatientBirthDate="20140101"), sets=("below_min_age",)),
    PERSON(text="PatientSex O", make=having(PatientSex="O"), facts={"sex": None}),
    PERSON(text="PatientSex in a small letter", make=raw(PatientSex="m"), facts={"sex": "M"}),
    PERSON(text="PatientSex Female", make=raw(PatientSex="Female"), facts={"sex": "F"}),
    PERSON(text="PatientSex empty", make=having(PatientSex=""), facts={"sex": None}),
    PERSON(text="PatientSize 178: centimetres", make=having(PatientSize="178"), facts={"height_m": 1.78}),
    PERSON(text="PatientSize 1780: millimetres", make=having(PatientSize="1780"), facts={"height_m": 1.78}),
    PERSON(text="PatientSize 1,78", make=raw(PatientSize="1,78"), facts={"height_m": 1.78}),
    PERSON(
        text="PatientSize 0: the height is not known", make=having(PatientSize="0"), facts={"height_m": None}
    ),
    PERSON(
        text="no name, no id, no sex, no birth date, no accession number",
        make=having(
            PatientName=None,
            PatientID=None,
            PatientSex=None,
            PatientBirthDate=None,
            AccessionNumber=None,
            StudyID=None,
        ),
    ),
    PERSON(
        text="images of two people in one stack: age and sex are not known, and the finding says so",
        make=each(two_people),
        facts={"age_years": None, "sex": None, "height_m": 1.7},
    ),
    PERSON(
        text="a padded patient ID and a birth date missing in some images: one person",
        make=each(one_person),
        facts={"age_years": 60.0, "sex": "F"},
    ),
    PERSON(
        text="a Japanese name (ISO 2022 IR 87)",
        make=having(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎"),
    ),
    PERSON(
        text="a Korean name (ISO 2022 IR 149)",
        make=having(SpecificCharacterSet=["", "ISO 2022 IR 149"], PatientName="Hong^Gildong=洪^吉洞"),
    ),
    PERSON(
        text="a Chinese name (GB18030)", make=having(SpecificCharacterSet="GB18030", PatientName="王^小东")
    ),
    PERSON(
        text="a Russian name (ISO_IR 144)",
        make=having(SpecificCharacterSet="ISO_IR 144", PatientName="Иванов^Пётр"),
    ),
    PERSON(
        text="a name in UTF-8 (ISO_IR 192)",
        make=having(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jörg"),
    ),
    PERSON(text="the local time zone +0100 in the header", make=having(TimezoneOffsetFromUTC="+0100")),
)

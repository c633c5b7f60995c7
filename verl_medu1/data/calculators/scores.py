"""Bedside scores that sum points. They do not validate values, which are within the ranges of the tables below."""

from verl_medu1.data.calculators.calculator import points_score
from verl_medu1.data.calculators.inputs import Choice, Number
from verl_medu1.data.calculators.measures import (
    AGE,
    DIASTOLIC,
    HEART_RATE,
    SEX,
    SYSTOLIC,
    TEMPERATURE,
    is_blood_pressure,
)


def cha2ds2_vasc_points(
    age: float, sex: str, heart_failure: bool, hypertension: bool, diabetes: bool, stroke: bool, vascular_disease: bool
) -> dict[str, float]:
    """CHA2DS2-VASc points, 0 to 9: risk of stroke in atrial fibrillation.

    One each for heart failure, hypertension, diabetes, vascular disease, female sex and 65-74 years; two each for
    stroke (or TIA, thromboembolism) and for 75 years or more.

    Source: Lip et al., Chest 2010.
    Inputs: age 18-95 years, sex, and the findings.

    Example:
        >>> sum(cha2ds2_vasc_points(76, "female", True, True, False, False, False).values())
        5
    """
    return {
        "heart failure": int(heart_failure),
        "hypertension": int(hypertension),
        "age": (age >= 65) + (age >= 75),
        "diabetes": int(diabetes),
        "stroke": 2 * stroke,
        "vascular disease": int(vascular_disease),
        "female sex": int(sex == "female"),
    }


def has_bled_points(
    age: float, systolic: float, dialysis: bool, cirrhosis: bool, stroke: bool, major_bleeding: bool, labile_inr: bool,
    antiplatelet: bool, drinks: float,
) -> dict[str, float]:  # fmt: skip
    """HAS-BLED points, 0 to 9: risk of bleeding on anticoagulants.

    One each for a systolic pressure above 160 mm Hg, abnormal kidney function (dialysis), abnormal liver function
    (cirrhosis), stroke, major bleeding, labile INR, more than 65 years, drugs (an antiplatelet), and alcohol (8 drinks
    a week or more).

    Source: Pisters et al., Chest 2010.
    Inputs: age 18-95 years, systolic 80-200 mm Hg, 0-20 drinks a week, and the findings.

    Example:
        >>> sum(has_bled_points(70, 170, False, False, True, False, False, True, 0).values())
        4
    """
    return {
        "hypertension": int(systolic > 160),
        "kidney": int(dialysis),
        "liver": int(cirrhosis),
        "stroke": int(stroke),
        "bleeding": int(major_bleeding),
        "labile INR": int(labile_inr),
        "age": int(age > 65),
        "drugs": int(antiplatelet),
        "alcohol": int(drinks >= 8),
    }


def wells_pe_points(
    leg_signs: bool, embolism_likeliest: bool, heart_rate: float, immobilisation: bool, earlier_thrombosis: bool,
    haemoptysis: bool, malignancy: bool,
) -> dict[str, float]:  # fmt: skip
    """Wells points for pulmonary embolism, 0 to 12.5.

    Three each for clinical signs of deep vein thrombosis and for embolism as the likeliest diagnosis; 1.5 each for a
    heart rate above 100 beats/min, immobilisation or surgery within four weeks, and an earlier thrombosis or embolism;
    one each for haemoptysis and for malignancy.

    Source: Wells et al., Thromb Haemost 2000.
    Inputs: heart rate 45-140 beats/min, and the findings.

    Example:
        >>> sum(wells_pe_points(True, False, 110, False, True, False, False).values())
        6.0
    """
    return {
        "signs of thrombosis": 3 * leg_signs,
        "embolism likeliest": 3 * embolism_likeliest,
        "heart rate": 1.5 * (heart_rate > 100),
        "immobilisation": 1.5 * immobilisation,
        "earlier thrombosis": 1.5 * earlier_thrombosis,
        "haemoptysis": int(haemoptysis),
        "malignancy": int(malignancy),
    }


def curb65_points(
    age: float, confusion: bool, urea: float, respiratory_rate: float, systolic: float, diastolic: float
) -> dict[str, float]:
    """CURB-65 points, 0 to 5: severity of pneumonia.

    One each for confusion, urea above 7 mmol/L, 30 breaths/min or more, a blood pressure below 90 systolic or up to 60
    diastolic (mm Hg), and 65 years or more.

    Source: Lim et al., Thorax 2003.
    Inputs: age 18-95 years, urea 2-20 mmol/L, 10-40 breaths/min, systolic 80-200 and diastolic 40-120 mm Hg.

    Example:
        >>> sum(curb65_points(70, True, 9.0, 24, 110, 58).values())
        4
    """
    return {
        "confusion": int(confusion),
        "urea": int(urea > 7),
        "respiratory rate": int(respiratory_rate >= 30),
        "blood pressure": int(systolic < 90 or diastolic <= 60),
        "age": int(age >= 65),
    }


def sirs_points(
    temperature: float, heart_rate: float, respiratory_rate: float, paco2: float, leucocytes: float, bands: float
) -> dict[str, float]:
    """Number of criteria met for the systemic inflammatory response syndrome, 0 to 4.

    Temperature above 38 or below 36 °C; more than 90 beats/min; more than 20 breaths/min or PaCO2 below 32 mm Hg;
    leucocytes above 12 or below 4 x 10^9/L or more than 10 % bands.

    Source: Bone et al., Chest 1992.
    Inputs: temperature 34.5-40.5 °C, 45-140 beats/min, 10-40 breaths/min, PaCO2 25-50 mm Hg, leucocytes
        1.5-25 x 10^9/L, bands 0-20 %.

    Example:
        >>> sum(sirs_points(38.5, 95, 18, 40, 9.0, 2).values())
        2
    """
    return {
        "temperature": int(temperature > 38 or temperature < 36),
        "heart rate": int(heart_rate > 90),
        "breathing": int(respiratory_rate > 20 or paco2 < 32),
        "leucocytes": int(leucocytes > 12 or leucocytes < 4 or bands > 10),
    }


def glasgow_coma_points(eyes: str, speech: str, movement: str) -> dict[str, float]:
    """Glasgow coma scale points, 3 to 15: the rank of each response, counted from the worst.

    Source: Teasdale and Jennett, Lancet 1974; with the flexion withdrawal of 1976.
    Inputs: the options of `_EYES`, `_SPEECH` and `_MOVEMENT`.

    Example:
        >>> sum(glasgow_coma_points("to speech", "confused", "localising").values())
        12
    """
    return {
        "eyes": 1 + _EYES.index(eyes),
        "speech": 1 + _SPEECH.index(speech),
        "movement": 1 + _MOVEMENT.index(movement),
    }


_EYES = ("none", "to pain", "to speech", "spontaneous")
_SPEECH = ("none", "sounds", "words", "confused", "oriented")
_MOVEMENT = ("none", "extension", "abnormal flexion", "withdrawal", "localising", "obeying")

_BREATHS = Number("respiratory_rate", "breaths/min", 10, 40)
_STROKE = Choice("stroke")

CALCULATORS = (
    points_score(
        "cha2ds2_vasc",
        "CHA2DS2-VASc score",
        (
            AGE,
            SEX,
            *map(Choice, ("heart_failure", "hypertension", "diabetes")),
            _STROKE,
            Choice("vascular_disease"),
        ),
        cha2ds2_vasc_points,
    ),
    points_score(
        "has_bled",
        "HAS-BLED score",
        (
            AGE,
            SYSTOLIC,
            *map(Choice, ("dialysis", "cirrhosis")),
            _STROKE,
            *map(Choice, ("major_bleeding", "labile_inr", "antiplatelet")),
            Number("drinks", "drinks a week", 0, 20),
        ),
        has_bled_points,
    ),
    points_score(
        "wells_pe",
        "Wells score for pulmonary embolism",
        (
            *map(Choice, ("leg_signs", "embolism_likeliest")),
            HEART_RATE,
            *map(Choice, ("immobilisation", "earlier_thrombosis", "haemoptysis", "malignancy")),
        ),
        wells_pe_points,
    ),
    points_score(
        "curb65",
        "CURB-65 score",
        (
            AGE,
            Choice("confusion"),
            Number("urea", "mmol/L", 2, 20, 1),
            _BREATHS,
            SYSTOLIC,
            DIASTOLIC,
        ),
        curb65_points,
        is_blood_pressure,
    ),
    points_score(
        "sirs",
        "SIRS score (number of criteria met)",
        (
            TEMPERATURE,
            HEART_RATE,
            _BREATHS,
            Number("paco2", "mm Hg", 25, 50),
            Number("leucocytes", "x 10^9/L", 1.5, 25, 1),
            Number("bands", "%", 0, 20),
        ),
        sirs_points,
    ),
    points_score(
        "glasgow_coma_scale",
        "Glasgow coma scale (sum)",
        (Choice("eyes", _EYES), Choice("speech", _SPEECH), Choice("movement", _MOVEMENT)),
        glasgow_coma_points,
    ),
)

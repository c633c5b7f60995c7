"""Generated calculations: formulas against published examples, a second implementation, pint and another package."""

import math
from bisect import bisect_left, bisect_right
from datetime import date, datetime, timedelta

import pint
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.data.calculator_examples import EXAMPLES
from verl_medu1.data.calculators import inputs
from verl_medu1.data.calculators.calculator import limits, written
from verl_medu1.data.calculators.catalogue import CALCULATORS
from verl_medu1.data.calculators.generate import Worked
from verl_medu1.data.calculators.inputs import Choice, Day, Number


@pytest.mark.parametrize(("name", "values", "expected"), EXAMPLES)
def test_published_examples(name, values, expected):
    result = CALCULATORS[name].formula(**values)
    assert result == expected or result == pytest.approx(expected, rel=2e-4)


def test_each_calculator_has_an_example():
    assert {name for name, _, _ in EXAMPLES} == set(CALCULATORS) and len(CALCULATORS) >= 20


def _ideal(height, sex):
    # 2.3 kg an inch in kg a cm, from 152.4 cm.
    return {"male": 50, "female": 45.5}[sex] + 2.3 / 2.54 * (height - 152.4)


def _meld(creatinine, bilirubin, inr, sodium):
    product = min(max(creatinine, 1), 4) ** 9.57 * max(bilirubin, 1) ** 3.78 * max(inr, 1) ** 11.2
    meld = math.floor(math.log(product) + 6.43 + 0.5)
    below = sorted((0, 137 - sodium, 12))[1]
    if meld > 11:
        meld = math.floor(meld * (1 - 0.033 * below) + 1.32 * below + 0.5)
    return min(meld, 40)


def _child_pugh(bilirubin, albumin, inr, ascites, encephalopathy):
    places = [bilirubin, inr, 5 - albumin]
    # Values in tenths, so that a limit belongs to the middle class.
    limits_ = [(19.5, 30.5), (16.5, 23.5), (14.5, 22.5)]
    classes = [bisect_left(pair, 10 * value) for pair, value in zip(limits_, places, strict=True)]
    return 5 + sum(classes) + "nsm".index(ascites[0]) + {"none": 0, "grade 1-2": 1, "grade 3-4": 2}[encephalopathy]


def _naegele(last_period, cycle):
    """As Naegele says it: seven days on, three months back, a year on."""
    week = last_period + timedelta(days=7)
    month, year = (week.month + 9, week.year) if week.month <= 3 else (week.month - 3, week.year + 1)
    return (year, month, week.day), timedelta(days=cycle - 28)


# A second implementation of each formula, written in another way.
AGAIN = {
    "bmi": lambda weight, height: math.exp(math.log(weight) - 2 * math.log(height / 100)),
    "bsa": lambda weight, height: math.hypot(0, weight**0.5 * height**0.5) / 60,
    "map": lambda systolic, diastolic: diastolic + (systolic - diastolic) / 3,
    "ibw": _ideal,
    "abw": lambda weight, height, sex: 0.6 * _ideal(height, sex) + 0.4 * weight,
    "cockcroft_gault": lambda age, sex, weight, creatinine: (
        (11900 - 85 * age if sex == "female" else 14000 - 100 * age) * weight / (7200 * creatinine)
    ),
    "ckd_epi_2021": lambda age, sex, creatinine: math.exp(
        math.log(142)
        + age * math.log(0.9938)
        + (
            math.log(1.012) + (-0.241 if creatinine <= 0.7 else -1.2) * (math.log(creatinine) - math.log(0.7))
            if sex == "female"
            else (-0.302 if creatinine <= 0.9 else -1.2) * (math.log(creatinine) - math.log(0.9))
        )
    ),
    "mdrd": lambda age, sex, creatinine: (
        {"male": 175, "female": 129.85}[sex] / math.exp(1.154 * math.log(creatinine) + 0.203 * math.log(age))
    ),
    "qtc_bazett": lambda qt, heart_rate: qt * (heart_rate / 60) ** 0.5,
    "qtc_fridericia": lambda qt, heart_rate: qt * math.exp(math.log(heart_rate / 60) / 3),
    "qtc_framingham": lambda qt, heart_rate: qt + 154 - 9240 / heart_rate,
    "qtc_hodges": lambda qt, heart_rate: qt - 105 + 7 * heart_rate / 4,
    "anion_gap": lambda sodium, chloride, bicarbonate: sodium - chloride - bicarbonate,
    "corrected_anion_gap": lambda sodium, chloride, bicarbonate, albumin: (
        sodium - chloride - bicarbonate + 10 - 2.5 * albumin
    ),
    "delta_gap": lambda sodium, chloride, bicarbonate: sodium - 12 - chloride - bicarbonate,
    "delta_ratio": lambda sodium, chloride, bicarbonate: (
        1 + (sodium - chloride - 36) / (24 - bicarbonate)  # (gap - 12) = (24 - b) + (sodium - chloride - 36)
    ),
    "corrected_calcium": lambda calcium, albumin: calcium + 3.2 - 0.8 * albumin,
    "serum_osmolality": lambda sodium, urea_nitrogen, glucose: (252 * sodium + 45 * urea_nitrogen + 7 * glucose) / 126,
    "free_water_deficit": lambda age, sex, weight, sodium: (
        weight * (sodium - 140) * {"male": (60, 50), "female": (50, 45)}[sex][age >= 65] / 14000
    ),
    "corrected_sodium": lambda sodium, glucose: sodium - 2.4 + 0.024 * glucose,
    "ldl": lambda cholesterol, hdl, triglycerides: (5 * cholesterol - 5 * hdl - triglycerides) / 5,
    "fib4": lambda age, ast, alt, platelets: math.exp(
        math.log(age) + math.log(ast) - math.log(platelets) - math.log(alt) / 2
    ),
    "meld_na": _meld,
    "child_pugh": _child_pugh,
    "cha2ds2_vasc": lambda age, sex, heart_failure, hypertension, diabetes, stroke, vascular_disease: (
        [heart_failure, hypertension, diabetes, stroke, stroke, vascular_disease, sex != "male"].count(True)
        + bisect_right([65, 75], age)
    ),
    "has_bled": lambda age, systolic, drinks, **findings: (
        list(findings.values()).count(True) + bisect_left([65.5], age) + bisect_left([160.5], systolic) + (drinks > 7)
    ),
    "wells_pe": lambda heart_rate, **findings: (
        sum(
            {"leg": 6, "emb": 6, "imm": 3, "ear": 3, "hae": 2, "mal": 2}[name[:3]] * there
            for name, there in findings.items()
        )
        + 3 * (heart_rate >= 101)
    )
    / 2,
    "curb65": lambda age, confusion, urea, respiratory_rate, systolic, diastolic: [
        confusion, not urea <= 7, not respiratory_rate < 30, not (systolic >= 90 and diastolic > 60), not age < 65
    ].count(True),
    "sirs": lambda temperature, heart_rate, respiratory_rate, paco2, leucocytes, bands: [
        36 <= temperature <= 38, heart_rate <= 90, respiratory_rate <= 20 and paco2 >= 32,
        4 <= leucocytes <= 12 and bands <= 10,
    ].count(False),
    "glasgow_coma_scale": lambda eyes, speech, movement: (
        {"spontaneous": 4, "to speech": 3, "to pain": 2, "none": 1}[eyes]
        + {"oriented": 5, "confused": 4, "words": 3, "sounds": 2, "none": 1}[speech]
        + {"obeying": 6, "localising": 5, "withdrawal": 4, "abnormal flexion": 3, "extension": 2, "none": 1}[movement]
    ),
    "gestational_age": lambda last_period, visit: (
        (visit.toordinal() - last_period.toordinal()) // 7, (visit.toordinal() - last_period.toordinal()) % 7
    ),
    "due_date": lambda last_period, cycle: date.fromordinal(last_period.toordinal() + 252 + round(cycle)),
    "steroid_conversion": lambda steroid, dose, planned_steroid: (
        # By potency: hydrocortisone is 1.
        dose * (potency := {"h": 1, "c": 0.8, "p": 4, "m": 5, "t": 5, "d": 80 / 3})[steroid[0]]
        / potency[planned_steroid[0]]
    ),
    "maintenance_fluid": lambda age, weight: min(4 * weight, 2 * weight + 20, weight + 40),
}  # fmt: skip


@st.composite
def values_of(draw_, name):
    """Any values within the ranges of a calculator, in the formula's units."""
    values = {}
    for item in CALCULATORS[name].inputs:
        if isinstance(item, Number):
            scale = 10**item.decimals
            values[item.name] = draw_(st.integers(math.ceil(item.low * scale), math.floor(item.high * scale))) / scale
        elif isinstance(item, Choice):
            values[item.name] = draw_(st.sampled_from(item.options))
        else:
            start = values[item.after] if item.after else date(2005, 1, 1)
            values[item.name] = start + timedelta(days=draw_(st.integers(item.low, item.high)))
    return values


@pytest.mark.parametrize("name", CALCULATORS)
@settings(max_examples=100)
@given(data=st.data())
def test_a_second_implementation_agrees(name, data):
    values = data.draw(values_of(name))
    if name == "meld_na":
        assume(CALCULATORS[name].is_consistent(**values))
    result, again = CALCULATORS[name].formula(**values), AGAIN[name](**values)
    assert result == again or result == pytest.approx(again, rel=1e-9, abs=1e-9)


@given(values=values_of("due_date"))
def test_the_due_date_is_naegeles_but_for_the_length_of_months(values):
    (year, month, day), shift = _naegele(**values)
    # The rule counts months; 280 days are up to three days off it.
    last = min(day, 28)
    rule = date(year, month, last) + timedelta(days=day - last) + shift
    assert abs((CALCULATORS["due_date"].formula(**values) - rule).days) <= 3


UNITS = pint.UnitRegistry()
UNITS.define("charge_equivalent = [charge_equivalent] = Eq")
UNITS.define("osmole = [osmotic_amount] = Osm")
Q = UNITS.Quantity
GAP_UNIT = "mEq/L"
# The formulas as physics: values and constants with their units, and the result in its own.
PHYSICS = {
    "bmi": lambda weight, height: Q(weight, "kg") / Q(height, "cm") ** 2,
    "bsa": lambda weight, height: (Q(weight, "kg") * Q(height, "cm") / Q(3600, "kg cm/m^4")) ** 0.5,
    "map": lambda systolic, diastolic: (Q(systolic, "mmHg") + 2 * Q(diastolic, "mmHg")) / 3,
    "ibw": lambda height, sex: (
        Q(50 if sex == "male" else 45.5, "kg") + Q(2.3, "kg/inch") * (Q(height, "cm") - Q(5, "foot"))
    ),
    "qtc_framingham": lambda qt, heart_rate: Q(qt, "ms") + 0.154 * (Q(1, "s") - 1 / Q(heart_rate, "1/minute")),
    "qtc_hodges": lambda qt, heart_rate: Q(qt, "ms") + Q(1.75, "ms minute") * Q(heart_rate - 60, "1/minute"),
    "anion_gap": lambda **ions: Q(ions["sodium"], GAP_UNIT) - Q(ions["chloride"] + ions["bicarbonate"], GAP_UNIT),
    "corrected_anion_gap": lambda albumin, **ions: (
        PHYSICS["anion_gap"](**ions) + Q(2.5, "mEq/L/(g/dL)") * (Q(40, "g/L") - Q(albumin, "g/dL"))
    ),
    "corrected_calcium": lambda calcium, albumin: (
        Q(calcium, "mg/dL") + Q(0.8, "mg/g") * (Q(40, "g/L") - Q(albumin, "g/dL"))
    ),
    # 2.8 and 18 are tenths of the molar masses of urea's nitrogen and of glucose, a osmole to the mole.
    "serum_osmolality": lambda sodium, urea_nitrogen, glucose: (
        Q(2, "Osm/Eq") * Q(sodium, "mEq/L")
        + Q(urea_nitrogen, "mg/dL") / Q(28, "g/Osm")
        + Q(glucose, "mg/dL") / Q(180, "g/Osm")
    ) / Q(1, "kg/L"),
    "free_water_deficit": lambda age, sex, weight, sodium: (
        Q(CALCULATORS["free_water_deficit"].formula(age, sex, 1, 280), "L/kg") * Q(weight, "kg")
        * (Q(sodium, "mEq/L") / Q(0.14, "Eq/L") - 1)
    ),
    "corrected_sodium": lambda sodium, glucose: (
        Q(sodium, "mEq/L") + Q(0.024, "mEq/L/(mg/dL)") * (Q(glucose, "mg/dL") - Q(1, "g/L"))
    ),
    "ldl": lambda cholesterol, hdl, triglycerides: Q(cholesterol - hdl, "mg/dL") - Q(triglycerides, "mg/dL") / 5,
    "steroid_conversion": lambda steroid, dose, planned_steroid: Q(dose, "mg") * AGAIN["steroid_conversion"](
        steroid, 1, planned_steroid
    ),
    "maintenance_fluid": lambda age, weight: (
        Q(4, "mL/kg/hour") * Q(min(weight, 10), "kg") + Q(2, "mL/kg/hour") * Q(sorted((0, weight - 10, 10))[1], "kg")
        + Q(1, "mL/kg/hour") * Q(max(weight - 20, 0), "kg")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PHYSICS)
@settings(max_examples=25)
@given(data=st.data())
def test_the_dimensions_of_a_formula_give_the_unit_of_its_result(name, data):
    values = data.draw(values_of(name))
    calculator = CALCULATORS[name]
    unit = {"mm Hg": "mmHg", "mL/h": "mL/hour"}.get(calculator.unit, calculator.unit)
    result = PHYSICS[name](**values).to(unit).magnitude
    assert result == pytest.approx(calculator.formula(**values), rel=1e-9, abs=1e-9)


def in_formula_unit(item: Number, text: str) -> float:
    """The value of a printed text, converted by pint alone."""
    number, _, printed = text.partition(" ")
    unit = next((unit for unit in item.others if unit.name == printed), None)
    if unit is None:
        assert printed == item.unit
        return float(number)
    names = {"°C": "degC", "°F": "degF", "in": "inch"}
    quantity = Q(float(number), names.get(printed, printed))
    if unit.factor:
        quantity = quantity * Q(*unit.factor)
    return quantity.to(names.get(item.unit, item.unit)).magnitude


def printed_values(worked: Worked) -> dict:
    """The values as a reader of the note takes them."""
    values = {}
    for item in CALCULATORS[worked.calculator].inputs:
        finding = worked.findings[item.name]
        if isinstance(item, Number):
            values[item.name] = in_formula_unit(item, finding.text)
        elif isinstance(item, Day):
            [values[item.name]] = {read for form in inputs.DATE_FORMATS if (read := _read_date(finding.text, form))}
        else:
            values[item.name] = finding.value
    return values


def _read_date(text: str, form: str) -> date | None:
    try:
        return datetime.strptime(text, form).date()
    except ValueError:
        return None


def test_the_gold_is_that_of_the_printed_values(rows):
    for worked in rows:
        values = printed_values(worked)
        if worked.calculator == "sirs":
            # 100.4 °F is 38 °C, and pint's float is a hair above.
            values["temperature"] = round(values["temperature"], 9)
        again = AGAIN[worked.calculator](**values)
        calculator, example = CALCULATORS[worked.calculator], worked.example
        if calculator.kind == "decimal":
            assert float(example.gold) == pytest.approx(again, abs=0.500001 * 10**-calculator.decimals)
            assert (example.lower_limit, example.upper_limit) == pytest.approx(
                sorted((0.95 * again, 1.05 * again)), rel=1e-9
            )
        else:
            assert example.gold == written(calculator, again)
            assert (example.lower_limit, example.upper_limit) == limits(calculator, again)

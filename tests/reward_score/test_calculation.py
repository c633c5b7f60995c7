import pytest

from reward_score.calculation import has_no_tolerance, judge_calculation, read_gold

LIMITS = {"lower_limit": "23.9761", "upper_limit": "26.4999"}

# D10: answer, right for gold 25.238
DECIMALS = [
    *((text, True) for text in (
        "25.238", "25.2", "25.238.", " 25.238\n", "+25.238", "25", "25.2 mL/min", "25.2mL/min",
        r"\boxed{25.238}", "$25.238$",
        "approximately 25", "about 25.2", "~25", "≈25.2", "126/5", r"\frac{126}{5}", "25 1/5", "２５.２３８",
        "٢٥.٢", "2.5238e1",
        "2.5238E+01", "2.5238 x 10^1", r"2.5238 \times 10^{1}", "2.5238 × 10¹", "25,2",
        "**25.2**", "CrCl = 25.2 mL/min", "CrCl = (140 - 87) * 48 / (1.4 * 72) = 25.238",
        "The answer is 25.2.", "25.2 (25.2)",
        "Creatinine clearance: 25.2 mL/min (Cockcroft-Gault)", "25\u00a0mL/min", "\u200e25.2\u200f",
        "23.9761", "26.4999",
        "The most likely value is 25", "10-year risk: 25.2", "**24-hour urine (2021 rule):** 25.2 mL",
        "eGFR (CKD-EPI 2021): 25.2 mL/min/1.73 m²", "25.2 mL·min⁻¹", r"25.2\ \text{mL}\cdot\text{min}^{-1}",
        "FIB-4 index is 25.2", "CHA2DS2-VASc 25", "25.2 mL/min/1.73 m²", "0.0252 thousand",
        "- 25.2", "25.2 ± 1", "25 kg (55 lb)", "25.2 = 20.2 + 5", "25.2 (20.2 + 5)", "For a 65-year-old, 25.2",
        "25.2 mL/hr on day 3", "25.2 (normal 60-120)", "[25.2]", '{"answer": 25.2}', "25.2&nbsp;mL",
        "eGFR (CKD-EPI 2021) is 25.2", "25.2, i.e. a risk of 4 %", "twenty-five",
        "25.2 kg/m² (overweight is ≥25)", "25.2 (> 20)", "25.2 mL/min/1.73 m² (CKD stage 4)",
        "25.2 mL/min (rounded from 25.24)", '```json\n{"answer": "25.2"}\n```',
    )),
    *((text, False) for text in (
        "", "unknown", "-25.2", "−25.2", "minus 25.2", "23.9760", "26.5000", "2.5238", "252.38",
        "25,238", "25.2%", "5%",
        "nan", "inf", "-inf", "NaN", "1e309", "9" * 400, "25.2 or 26", "24, 25, 26", "24-26", "24 to 26",
        "< 25", "≥ 25",
        "at least 25", "at most 25", "25 at the very most", "25:30", "1: 25", "25 or more",
        "30 mL/min (normal: 25)", "30 mL/min, normal: 25", "26 points: 25 for age", "10-year risk: 25 to 26",
        "2^-25", "between 24 and 26", "not 25", "25/0", "2^25", "x25", "25.2.1", "1,2,25",
        "25 million", "30 kg (25 lb)", "never 25", "isn't 25", "25 is wrong", "anything but 25", "up to 25",
        "maximum 25", "twice 25", "25 (x10)", "25 or double that", "30; by the other formula = 25",
        "BMI (≥ 25)", "eGFR (normal > 25)", "25 (not 30)", "25 (or 30)",
        '{"step_by_step_thinking": "12 + 13.2", "answer": "25.2"}',
        "value (computed 30): 25", "25 = 30", "day 25", "25 too low", "9/25/2014", "25.2 " * 500, "\ud800",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "correct"), DECIMALS)
def test_decimals(answer: str, correct: bool) -> None:
    assert judge_calculation(answer, "25.238", LIMITS).correct is correct


@pytest.mark.parametrize(
    ("answer", "correct"),
    [("1200", True), ("1,200", True), ("1 200", True), ("1\u202f200", True), ("1'200", True), ("1.200,0", True),
     ("1,200 mL", True), ("1,200.00", True), (r"$1{,}200$", True), ("1.2 × 10³", True), ("1.2 thousand", True),
     ("1.200", False), ("1, 200", False), ("12,00", False), ("1,2,00", False), ("1200,1300", False)],
)  # fmt: skip
def test_thousands(answer: str, correct: bool) -> None:
    assert judge_calculation(answer, "1200", {"lower_limit": 1140, "upper_limit": 1260}).correct is correct


# D13: the official rule rounds the answer
@pytest.mark.parametrize(
    ("answer", "correct"),
    [("3", True), ("3.0", True), ("2.9", True), ("3.49", True), ("3 points", True), ("3 out of 5", True),
     ("Score: 3", True), ("3 (moderate risk)", True), ("CURB-65 score is 3", True), ("3.", True),
     ("2.5", False), ("3.5", False), ("4", False), ("-3", False), ("3%", False), ("3/5", True), ("3 of 4", True),
     ("three", True), ("3 (age 1, sex 2)", True), ("3/9 points", True), ("6/2", False), ("risk class 3", False)],
)  # fmt: skip
def test_integers(answer: str, correct: bool) -> None:
    assert judge_calculation(answer, "3", {"lower_limit": "3", "upper_limit": "3"}).correct is correct
    assert judge_calculation(answer, "3", {}).correct is correct


@pytest.mark.parametrize(("answer", "correct"), [("0", True), ("0 points", True), ("0.6", False), ("5%", False)])
def test_zero(answer: str, correct: bool) -> None:
    assert judge_calculation(answer, "0", {}).correct is correct


# D11: answer, right for gold 09/23/2014
@pytest.mark.parametrize(
    ("answer", "correct"),
    [*((text, True) for text in (
        "09/23/2014", "9/23/2014", "2014-09-23", "2014/9/23", "09-23-2014", "September 23, 2014", "Sept. 23rd, 2014",
        "23 September 2014", "23 Sep 2014", "**09/23/2014**", r"\boxed{09/23/2014}", "The due date is 09/23/2014.",
        "Tuesday, September 23, 2014", "09/23/2014 (September 23, 2014)", "０９/２３/２０１４",
        "09 / 23 / 2014", "2014.09.23", "September-23-2014", "2014-09-23T00:00:00")),
     *((text, False) for text in (
        "09/24/2014", "23/09/2014", "9/23/14", "09/23", "2014", "02/30/2014", "09/23/2014 or 09/24/2014",
        "not 09/23/2014", "never 09/23/2014", "09/23/2014 is wrong", "one day later than 09/23/2014",
        "N/A", "", "109/23/2014", "09/23/20145", "41905"))],
)  # fmt: skip
def test_dates(answer: str, correct: bool) -> None:
    assert judge_calculation(answer, "09/23/2014", {"lower_limit": "09/23/2014"}).correct is correct


# D12: answer, right for gold ('17 weeks', '6 days')
@pytest.mark.parametrize(
    ("answer", "correct"),
    [*((text, True) for text in (
        "('17 weeks', '6 days')", "('17 weeks','6 days')", '("17 weeks", "6 days")', "(17 weeks, 6 days)",
        "17 weeks 6 days",
        "17 weeks and 6 days", "17 weeks + 6 days", "17 weeks & 6 days", "17w+6d", "17 weeks, 6 days.",
        "17w6d", "17 wks 6 d", "17+6", "17 6/7 weeks", "(17, 6)", "17-week, 6-day",
        "17 weeks 6 days (= 125 days)", "17⁺6 weeks", "seventeen weeks and six days",
        r"\boxed{17 \text{ weeks } 6 \text{ days}}", "The gestational age is 17 weeks and 6 days.")),
     *((text, False) for text in (
        "17 weeks", "6 days", "17 weeks 5 days", "6 weeks 17 days", "125 days", "17.9 weeks", "17-18 weeks", "17", "",
        "17 weeks - 6 days", "not 17 weeks 6 days", "more than 17 weeks 6 days", "17 weeks 6 days (= 126 days)",
        "17 weeks + 6 days + 1 day",
        "17 weeks 6 days or 18 weeks 0 days", "-17 weeks 6 days"))],
)  # fmt: skip
def test_durations(answer: str, correct: bool) -> None:
    assert judge_calculation(answer, "('17 weeks', '6 days')", {}).correct is correct


def test_a_missing_part_of_a_duration_is_zero() -> None:
    assert judge_calculation("6 days", "('0 weeks', '6 days')", {}).correct
    assert judge_calculation("2 weeks", "('2 weeks', '0 days')", {}).correct


@pytest.mark.parametrize(
    ("answer", "gold", "unit", "correct"),
    [
        ("500 mg", "0.5", "g", True),
        ("500 g", "0.5", "g", False),
        ("0.5 mg", "0.5", "g", False),
        ("0.5", "0.5", "g", True),
        ("0.5 g", "0.5 g", None, True),
        ("500 mg", "0.5 g", None, True),
        ("25.2 ml / min", "25.2", "mL/min", True),
        ("1.512 L/h", "25.2", "mL/min", True),
        ("25.2 kg", "25.2", "mL/min", False),
        ("25.2 bananas", "25.2", "mL/min", False),
        # a unit beside the number counts too
        ("12.5 (mg/dL)", "12.5", "g/dL", False),
        ("12.5 (mg)", "12.5", "g", False),
        ("12.5, mg", "12.5", "g", False),
        ("mg/dL: 12.5", "12.5", "g/dL", False),
        ("12.5 (mg/dL)", "12.5", "mg/dL", True),
        ("12.5 (normal)", "12.5", "mg/dL", True),
        ("Calcium (mg/dL): 12.5", "12.5", "mg/dL", True),
        ("25.2 mL/min/1.73 m²", "25.2", "mL/min/1.73 m^2", True),
        ("25.2 mL/min/1.73m2", "25.2", "mL/min per 1.73 m²", True),
        ("25.2 mL/min", "25.2", "mL/min/1.73 m²", True),
        ("22.5 kg/m2", "22.5", "kg/m²", True),
        ("BMI (kg/m²): 22.5", "22.5", "kg/m²", True),
        # exponents instead of a fraction bar
        ("25 kg·m⁻²", "25.2", "kg/m²", True),
        ("25 kg⋅m⁻²", "25.2", "kg/m²", True),
        ("25 kg m^-2", "25.2", "kg/m²", True),
        (r"$25\ \mathrm{kg}\cdot\mathrm{m}^{-2}$", "25.2", "kg/m²", True),
        ("25 g·m⁻²", "25.2", "kg/m²", False),
        ("140 mEq·L⁻¹", "140.5", "mEq/L", True),
        ("70 mL min⁻¹", "70.2", "mL/min", True),
        ("75 mL·min⁻¹·1.73 m⁻²", "75.2", "mL/min/1.73 m²", True),
        ("75 mL min⁻¹ (1.73 m²)⁻¹", "75.2", "mL/min/1.73 m²", True),
        ("75 mL min⁻¹", "75.2", "mL/min/1.73 m²", True),
        ("75 mL/h", "75.2", "mL/min/1.73 m²", False),
        ("75 mL/min/1.73 m²", "75.2", "mL/min", False),
        ("280.5 mOsmol/kg", "280.5", "mOsm/kg", True),
        ("1.07 sq m", "1.07", "m²", True),
        ("22.8 kg per square meter", "22.837", "kg/m²", True),
        ("93.3 millimeters of mercury", "93.3", "mm Hg", True),
        ("1.7 mmol/L", "1.712", None, False),
        ("420 msec", "420.5", "ms", True),
        ("0.42 s", "420.5", "msec", True),
        ("93.3 mm Hg", "93.3", "mmHg", True),
        ("12.44 kPa", "93.3", "mmHg", True),
        ("140.5 mmol/L", "140.5", "mEq/L", False),
        ("140.5 meq/l", "140.5", "mEq/L", True),
        ("14.05 mEq/dL", "140.5", "mEq/L", True),
        ("280.5 mOsm/kg", "280.5", "mOsm/kg", True),
        ("100.5 IU", "100.5", "IU", True),
        ("100.5 mg", "100.5", "IU", False),
        ("1.3%", "1.3", "%", True),
        ("1.3 percent", "1.3", "percent", True),
        ("1.3 pct.", "1.3", "%", True),
        ("1.3 percentage", "1.3", "%", True),
        ("1.3 percentage points", "1.3", "%", False),
        ("50 pct", "0.5", None, True),
        ("1.3", "1.3", "%", True),
        ("0.013 mg", "1.3", "%", False),
        ("1.3%", "1.3%", None, True),
        ("50%", "0.5", None, True),
        ("0.5%", "0.5", None, False),
        ("98.6 °F", "37.1", "°C", True),
        ("3 points", "3", "points", True),
        ("3", "3", "points", True),
    ],
)
def test_units(answer: str, gold: str, unit: str | None, correct: bool) -> None:
    assert judge_calculation(answer, gold, {"unit": unit}).correct is correct


@pytest.mark.parametrize(
    ("answer", "gold", "limits", "correct"),
    [
        # The sign stands on one side, and the values are equal.
        ("0.25", "25 %", (24.975, 25.025), True),
        ("1/4", "25 %", (24.975, 25.025), True),
        ("a risk of 0.25", "25 percent", (24.975, 25.025), True),
        ("0.29", "29 %", None, True),  # 100 * 0.29 is less than 29
        ("0.004", "0.4%", (0.35, 0.45), True),
        ("-0.25", "-25%", None, True),
        ("25 %", "0.25", (0.245, 0.255), True),
        ("25 percent", "0.25", None, True),
        # As before: the sign on both sides or on the gold alone.
        ("25 %", "25 %", None, True),
        ("25", "25 %", None, True),
        # Another value, with or without a sign.
        ("0.025", "25 %", None, False),
        ("2.5", "25 %", None, False),
        ("250", "25 %", None, False),
        ("0.25 %", "25 %", None, False),
        ("-0.25", "25 %", None, False),
        ("0.24", "25 %", (24.975, 25.025), False),
        ("0.244", "25 %", None, False),
        ("0.25 %", "0.25", None, False),
        # The sign is nowhere.
        ("25", "0.25", None, False),
        ("25", "0.25", (0.245, 0.255), False),
        ("0.25", "25", None, False),
        ("0.25", "25", (24.0, 26.0), False),
        # Not a fraction of a whole: it may be 1 % as well.
        ("1", "100 %", None, False),
        ("1.5", "150 %", None, False),
        ("0", "25 %", None, False),
        ("0.25 mg", "25 %", None, False),
        ("0.25 (mg)", "25 %", None, False),
        ("0.25 to 0.3", "25 %", None, False),
    ],
)
def test_a_percentage_and_its_fraction(
    answer: str, gold: str, limits: tuple[float, float] | None, correct: bool
) -> None:
    unit = "%" if gold.endswith(("%", "percent")) else None
    spec = dict(zip(("lower_limit", "upper_limit"), limits or (None, None), strict=True))
    assert judge_calculation(answer, gold, {"unit": unit, **spec}).correct is correct


@pytest.mark.parametrize(("answer", "correct"), [("1.3%", True), ("1.3", True), ("0.013", False)])
def test_where_only_the_unit_is_percent_a_fraction_is_wrong_as_for_the_official_evaluator(
    answer: str, correct: bool
) -> None:
    assert judge_calculation(answer, "1.3", {"unit": "%"}).correct is correct


@pytest.mark.parametrize("limits", [("-1.9", "-2.1"), (-2.1, -1.9), (float("nan"), None), ("", "nan"), ("x", [])])
def test_limits_are_sorted_and_bad_ones_replaced_by_five_percent(limits: tuple[object, object]) -> None:
    # D14, D15
    spec = {"lower_limit": limits[0], "upper_limit": limits[1], "answer_type": "decimal"}
    for answer, correct in (("-2", True), ("-1.95", True), ("-2.09", True), ("-1.8", False), ("2", False)):
        assert judge_calculation(answer, "-2.0", spec).correct is correct


def test_tolerance_without_limits() -> None:
    assert judge_calculation("10.9", "10.5", {}).correct
    assert not judge_calculation("11.1", "10.5", {}).correct
    assert judge_calculation("10.4", "10", {"answer_type": "decimal"}).correct
    assert not judge_calculation("10.6", "10", {}).correct


@pytest.mark.parametrize(
    ("gold", "kind"),
    [("25.238", ""), ("3", ""), ("-5", ""), ("1,200", ""), ("09/23/2014", "date"), ("2014-09-23", "date"),
     ("('17 weeks', '6 days')", "duration"), ("17 weeks 6 days", "duration"), ("17w6d", "duration"), ("5 days", "")],
)  # fmt: skip
def test_kind_is_inferred(gold: str, kind: str) -> None:
    assert read_gold(gold).kind == kind


@pytest.mark.parametrize(
    ("gold", "spec"),
    [("nan", {}), ("inf", {}), ("abc", {}), ("1 or 2", {}), ("02/30/2014", {"answer_type": "date"}),
     ("5", {"answer_type": "duration"}), ("2.5", {"answer_type": "integer"}), ("5 mg", {"unit": "mL"}),
     ("25", {"lower_limit": 30, "upper_limit": 40})],
)  # fmt: skip
def test_bad_gold_is_named(gold: str, spec: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="ground_truth"):
        judge_calculation("5", gold, spec)


def test_limits_without_width_around_a_decimal_are_widened() -> None:
    spec = {"lower_limit": 42.683, "upper_limit": 42.683, "unit": "mg"}
    assert has_no_tolerance("42.683", spec)
    assert judge_calculation("42.68 mg", "42.683", spec).correct
    assert not judge_calculation("45 mg", "42.683", spec).correct
    assert not has_no_tolerance("3", {"lower_limit": 3, "upper_limit": 3})


@pytest.mark.parametrize(
    ("question", "correct"),
    [
        ("What is the sodium deficit?", True),
        ("What is the anion gap?", True),
        ("What is the corrected calcium?", False),
        ("", False),
    ],
)
def test_a_mole_is_an_equivalent_where_the_ion_has_one_charge(question: str, correct: bool) -> None:
    spec = {"unit": "mEq/L", "question": question}
    assert judge_calculation("140.5 mmol/L", "140.5", spec).correct is correct


@pytest.mark.parametrize(
    ("answer", "limits", "correct", "unsafe"),
    [
        ("39 mg", {"safe_upper": 39}, True, False),
        ("40 mg", {"safe_upper": 39}, True, True),
        ("0.04 g", {"safe_upper": 39}, True, True),
        ("80 mg", {"safe_upper": "39"}, False, True),
        ("20 mg", {"safe_upper": 39.0, "safe_lower": None}, False, False),
        ("20 mg", {"safe_lower": 30, "safe_upper": 39}, False, True),
        ("40 mg", {}, True, False),
        ("40 mg", {"safe_lower": None, "safe_upper": ""}, True, False),
        # Nothing that can be compared with the range.
        ("40 mL", {"safe_upper": 39}, False, False),
        ("rest", {"safe_upper": 39}, False, False),
    ],
)
def test_a_value_outside_the_safe_range_is_unsafe_right_or_wrong(answer, limits, correct, unsafe):
    spec = {"lower_limit": 38, "upper_limit": 42, "unit": "mg", **limits}
    verdict = judge_calculation(answer, "39", spec)
    assert (verdict.correct, verdict.unsafe) == (correct, unsafe)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [({"safe_upper": 30}, "outside its safe range"), ({"safe_upper": "x"}, "safe_upper 'x' is not a number"),
     ({"safe_lower": 50, "safe_upper": 20}, "outside its safe range")],
)  # fmt: skip
def test_a_gold_answer_must_be_safe_itself(limits, sentence):
    with pytest.raises(ValueError, match=sentence):
        judge_calculation("39", "39", {"lower_limit": 38, "upper_limit": 42, **limits})

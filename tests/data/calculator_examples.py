"""Calculations with their results, as published or computed by hand: (calculator, values, result)."""

from datetime import date

from verl_medu1.data.calculators.catalogue import CALCULATORS
from verl_medu1.data.calculators.inputs import Choice

# Computed by hand from the published formulas; with a name where somebody publishes the very numbers.
EXAMPLES = [
    ("bmi", {"weight": 70, "height": 175}, 22.857),
    ("bmi", {"weight": 100, "height": 200}, 25.0),
    ("bsa", {"weight": 80, "height": 180}, 2.0),
    ("bsa", {"weight": 50, "height": 162}, 1.5),
    ("map", {"systolic": 120, "diastolic": 80}, 93.333),
    ("map", {"systolic": 90, "diastolic": 60}, 70.0),
    ("ibw", {"height": 177.8, "sex": "male"}, 73.0),
    ("ibw", {"height": 165.1, "sex": "female"}, 57.0),
    ("abw", {"height": 177.8, "sex": "male", "weight": 100}, 83.8),
    ("abw", {"height": 165.1, "sex": "female", "weight": 97}, 73.0),
    ("cockcroft_gault", {"age": 40, "sex": "male", "weight": 72, "creatinine": 1.0}, 100.0),
    ("cockcroft_gault", {"age": 60, "sex": "female", "weight": 70, "creatinine": 1.4}, 47.222),
    # The calculator of the National Kidney Foundation shows 92 and 52.
    ("ckd_epi_2021", {"age": 50, "sex": "male", "creatinine": 1.0}, 91.69),
    ("ckd_epi_2021", {"age": 60, "sex": "female", "creatinine": 1.2}, 51.82),
    ("ckd_epi_2021", {"age": 30, "sex": "female", "creatinine": 0.7}, 119.24),
    ("mdrd", {"age": 50, "sex": "male", "creatinine": 1.0}, 79.10),
    ("mdrd", {"age": 60, "sex": "female", "creatinine": 1.2}, 45.82),
    ("qtc_bazett", {"qt": 400, "heart_rate": 75}, 447.21),
    ("qtc_bazett", {"qt": 380, "heart_rate": 60}, 380.0),
    ("qtc_fridericia", {"qt": 400, "heart_rate": 75}, 430.89),
    ("qtc_framingham", {"qt": 400, "heart_rate": 75}, 430.8),
    ("qtc_hodges", {"qt": 400, "heart_rate": 75}, 426.25),
    ("anion_gap", {"sodium": 140, "chloride": 104, "bicarbonate": 24}, 12),
    ("corrected_anion_gap", {"sodium": 140, "chloride": 104, "bicarbonate": 24, "albumin": 2.0}, 17.0),
    ("delta_gap", {"sodium": 140, "chloride": 104, "bicarbonate": 14}, 10),
    ("delta_ratio", {"sodium": 140, "chloride": 100, "bicarbonate": 14}, 1.4),
    ("corrected_calcium", {"calcium": 8.0, "albumin": 2.0}, 9.6),
    ("corrected_calcium", {"calcium": 10.0, "albumin": 5.0}, 9.2),
    ("serum_osmolality", {"sodium": 140, "urea_nitrogen": 14, "glucose": 90}, 290.0),
    ("free_water_deficit", {"age": 64, "sex": "male", "weight": 70, "sodium": 154}, 4.2),
    ("free_water_deficit", {"age": 65, "sex": "male", "weight": 70, "sodium": 154}, 3.5),
    ("free_water_deficit", {"age": 40, "sex": "female", "weight": 70, "sodium": 154}, 3.5),
    ("free_water_deficit", {"age": 80, "sex": "female", "weight": 60, "sodium": 168}, 5.4),
    ("corrected_sodium", {"sodium": 130, "glucose": 600}, 142.0),
    ("ldl", {"cholesterol": 200, "hdl": 50, "triglycerides": 150}, 120.0),
    ("fib4", {"age": 50, "ast": 40, "alt": 25, "platelets": 200}, 2.0),
    ("meld_na", {"creatinine": 0.8, "bilirubin": 0.8, "inr": 0.9, "sodium": 140}, 6),
    ("meld_na", {"creatinine": 2.0, "bilirubin": 3.0, "inr": 1.5, "sodium": 130}, 26),
    ("meld_na", {"creatinine": 2.0, "bilirubin": 3.0, "inr": 1.5, "sodium": 140}, 22),
    ("meld_na", {"creatinine": 6.0, "bilirubin": 12.0, "inr": 4.0, "sodium": 120}, 40),
    ("child_pugh", {"bilirubin": 1.9, "albumin": 3.6, "inr": 1.6, "ascites": "none", "encephalopathy": "none"}, 5),
    (
        "child_pugh",
        {"bilirubin": 2, "albumin": 3.5, "inr": 1.7, "ascites": "slight", "encephalopathy": "grade 1-2"},
        10,
    ),
    (
        "child_pugh",
        {"bilirubin": 3, "albumin": 2.8, "inr": 2.3, "ascites": "slight", "encephalopathy": "grade 1-2"},
        10,
    ),
    (
        "child_pugh",
        {"bilirubin": 3.1, "albumin": 2.7, "inr": 2.4, "ascites": "moderate", "encephalopathy": "grade 3-4"},
        15,
    ),
    ("due_date", {"last_period": date(2011, 9, 17), "cycle": 21}, date(2012, 6, 16)),
    ("due_date", {"last_period": date(2023, 1, 1), "cycle": 28}, date(2023, 10, 8)),
    ("due_date", {"last_period": date(2023, 1, 1), "cycle": 30}, date(2023, 10, 10)),
    ("gestational_age", {"last_period": date(2024, 1, 1), "visit": date(2024, 3, 4)}, (9, 0)),
    ("gestational_age", {"last_period": date(2023, 1, 1), "visit": date(2023, 10, 7)}, (39, 6)),
    ("steroid_conversion", {"steroid": "prednisone", "dose": 20, "planned_steroid": "dexamethasone"}, 3.0),
    ("steroid_conversion", {"steroid": "cortisone", "dose": 25, "planned_steroid": "hydrocortisone"}, 20.0),
    ("steroid_conversion", {"steroid": "triamcinolone", "dose": 8, "planned_steroid": "prednisolone"}, 10.0),
    ("maintenance_fluid", {"age": 1, "weight": 8}, 32),
    ("maintenance_fluid", {"age": 3, "weight": 15}, 50),
    ("maintenance_fluid", {"age": 7, "weight": 25}, 65),
]
# The limits of each criterion: what changes of the first values, and the sum of points.
FLAGS_OFF = {
    name: {item.name: False for item in CALCULATORS[name].inputs if isinstance(item, Choice) and True in item.options}
    for name in ("cha2ds2_vasc", "has_bled", "wells_pe", "curb65")
}
SCORES = [
    ("cha2ds2_vasc", FLAGS_OFF["cha2ds2_vasc"] | {"age": 64, "sex": "male"}, [
        ({}, 0), ({"age": 65}, 1), ({"age": 75}, 2), ({"age": 74}, 1), ({"sex": "female"}, 1), ({"stroke": True}, 2),
        ({"heart_failure": True}, 1), ({"hypertension": True}, 1), ({"diabetes": True}, 1),
        ({"vascular_disease": True}, 1),
        (dict.fromkeys(FLAGS_OFF["cha2ds2_vasc"], True) | {"age": 80, "sex": "female"}, 9),
    ]),
    ("has_bled", FLAGS_OFF["has_bled"] | {"age": 65, "systolic": 160, "drinks": 7}, [
        ({}, 0), ({"age": 66}, 1), ({"systolic": 161}, 1), ({"drinks": 8}, 1), ({"dialysis": True}, 1),
        (dict.fromkeys(FLAGS_OFF["has_bled"], True) | {"age": 70, "systolic": 170, "drinks": 20}, 9),
    ]),
    ("wells_pe", FLAGS_OFF["wells_pe"] | {"heart_rate": 100}, [
        ({}, 0), ({"heart_rate": 101}, 1.5), ({"leg_signs": True}, 3), ({"embolism_likeliest": True}, 3),
        ({"immobilisation": True}, 1.5), ({"earlier_thrombosis": True}, 1.5), ({"haemoptysis": True}, 1),
        ({"malignancy": True}, 1), (dict.fromkeys(FLAGS_OFF["wells_pe"], True) | {"heart_rate": 120}, 12.5),
    ]),
    ("curb65", {"age": 64, "confusion": False, "urea": 7.0, "respiratory_rate": 29, "systolic": 90, "diastolic": 61}, [
        ({}, 0), ({"age": 65}, 1), ({"confusion": True}, 1), ({"urea": 7.1}, 1), ({"respiratory_rate": 30}, 1),
        ({"systolic": 89}, 1), ({"diastolic": 60}, 1), ({"systolic": 85, "diastolic": 50}, 1),
    ]),
    ("sirs", {
        "temperature": 38.0, "heart_rate": 90, "respiratory_rate": 20, "paco2": 32, "leucocytes": 12, "bands": 10,
    }, [
        ({}, 0), ({"temperature": 38.1}, 1), ({"temperature": 36.0}, 0), ({"temperature": 35.9}, 1),
        ({"heart_rate": 91}, 1), ({"respiratory_rate": 21}, 1), ({"paco2": 31}, 1),
        ({"paco2": 31, "respiratory_rate": 30}, 1), ({"leucocytes": 12.1}, 1), ({"leucocytes": 4.0}, 0),
        ({"leucocytes": 3.9}, 1), ({"bands": 11}, 1),
    ]),
    ("glasgow_coma_scale", {"eyes": "none", "speech": "none", "movement": "none"}, [
        ({}, 3), ({"eyes": "spontaneous"}, 6), ({"speech": "oriented"}, 7), ({"movement": "obeying"}, 8),
        ({"eyes": "to speech", "speech": "confused", "movement": "localising"}, 12),
    ]),
]  # fmt: skip
EXAMPLES += [(name, first | change, points) for name, first, changes in SCORES for change, points in changes]

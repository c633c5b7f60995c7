"""What the rules for short answers accept, of answers that we wrote ourselves to references of all specialties.

Each row of short_answers.csv has a question, its reference, and answers separated by " | ": right ones as most people
would write them, right ones in other wording, wrong ones written to be accepted, and wrong ones as people give them.
"""

import csv
from collections import Counter
from pathlib import Path

import pytest

from reward_score.normalise import normalise
from reward_score.open_ended import judge_open_ended
from reward_score.synonyms import equal_amounts, names_by_target, other_names
from reward_score.word_lists import asked_words, name_groups, word_forms

RIGHT = {"natural": 0.90, "other_wording": 0.72}
WRONG = ("adversarial", "natural_wrong")


def answers() -> list[tuple[str, str, str, str]]:
    """Kind, question, reference and answer."""
    with Path(__file__).with_name("short_answers.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [
        (kind, row["question"], row["reference"], answer)
        for row in rows
        for kind in (*RIGHT, *WRONG)
        for answer in row[kind].split(" | ")
    ]


def test_no_attack_on_the_rules_is_accepted() -> None:
    """wrong_short_answers.csv: written against each rule and list by someone who knew them."""
    with Path(__file__).with_name("wrong_short_answers.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    mistakes = [
        (row["question"], row["reference"], answer)
        for row in rows
        for answer in row["wrong"].split(" | ")
        if judge_open_ended(answer, row["reference"], {"question": row["question"]}).correct
    ]
    assert mistakes == []


def test_no_wrong_answer_is_accepted_and_most_right_ones_are() -> None:
    tried, accepted = Counter[str](), Counter[str]()
    mistakes = []
    for kind, question, reference, answer in answers():
        tried[kind] += 1
        if judge_open_ended(answer, reference, {"question": question}).correct:
            accepted[kind] += 1
            if kind in WRONG:
                mistakes.append((reference, answer))
    assert mistakes == []
    for kind, share in RIGHT.items():
        assert accepted[kind] >= share * tried[kind], f"{kind}: {accepted[kind]} of {tried[kind]}"


# question, reference, answer, correct: rows of each rule, with what it must not accept
RULES = [
    # other names
    ("", "Acute myocardial infarction", "Heart attack", True),
    ("", "Hyperkalemia", "Elevated serum potassium", True),
    ("", "Hypokalemia", "Elevated serum potassium", False),
    ("", "Osteomyelitis", "Bone infection", True),
    ("", "Osteomyelitis", "Bone", False),
    ("", "Type I hypersensitivity", "Hypersensitivity", False),
    ("", "Haloperidol", "Haldol", True),
    ("What causes Down syndrome?", "Trisomy 21", "Down syndrome", False),
    ("What does she have?", "Trisomy 21", "Down syndrome", True),
    # abbreviations
    ("", "Iron deficiency", "IDC", False),
    ("", "Invasive ductal carcinoma", "IDC", True),
    ("", "Hypothyroidism", "HT", False),
    ("", "Atrioventricular node", "AV node", True),
    ("", "Nasogastric tube", "NG tube", True),
    ("", "Antidiuretic hormone", "ADH", True),
    # the words by which a question asks
    ("Which nerve is most likely injured?", "Radial nerve", "Radial nerve palsy", True),
    ("Which nerve is most likely injured?", "Radial nerve", "Ulnar nerve palsy", False),
    ("Which nerve is the thickest?", "Radial nerve", "Radial nerve palsy", False),
    ("Which hormone is decreased?", "Cortisol", "Decreased cortisol", True),
    ("Which hormone is decreased?", "Cortisol", "Increased cortisol", False),
    ("What happens when calcium is decreased?", "Tetany", "Decreased tetany", False),
    ("Which drug should be stopped?", "Metformin", "Stop metformin", True),
    ("Which drug should be stopped?", "Metformin", "Do not stop metformin", False),
    ("Which drug should be started?", "Metformin", "Stop metformin", False),
    ("Which drug should be stopped?", "Metformin", "Start metformin", False),
    ("Which drug should be stopped?", "Metformin", "Metformin, given her renal failure", True),
    ("Which drug should be avoided?", "Aspirin", "Avoid using aspirin", True),
    ("Which drug should be avoided?", "Aspirin", "Aspirin is recommended", False),
    ("Which drug should be avoided?", "First-generation antihistamines", "First-generation antihistamine drugs", True),
    ("What test should be done?", "Serum potassium", "Measure serum potassium", True),
    ("What should be given?", "Potassium", "Measure potassium", False),
    ("What is the treatment?", "Vitamin D", "Vitamin D supplementation", True),
    ("Which vitamin is elevated?", "Vitamin D", "Vitamin D supplementation", False),
    ("What is the drug of choice?", "Doxycycline", "Oral doxycycline", True),
    ("What is the treatment?", "Oral rehydration", "Rehydration", False),
    ("What is the drug of choice?", "Intravenous doxycycline", "Oral doxycycline", False),
    ("What is the most common cancer of the mouth?", "Cancer", "Oral cancer", False),
    # what leads to the answer, or follows it
    ("What is the diagnosis?", "Sarcoidosis", "The findings are most consistent with sarcoidosis", True),
    ("What is the diagnosis?", "Sarcoidosis", "The findings are not consistent with sarcoidosis", False),
    ("What is the diagnosis?", "Sarcoidosis", "Either consistent with sarcoidosis or tuberculosis", False),
    ("What is the cause?", "Uterine atony", "Uterine atony causing hemorrhage", True),
    ("What is given?", "Doxycycline", "Doxycycline 100 mg twice daily for 7 days", True),
    ("What is given?", "Doxycycline", "Doxycycline 100 mg and ceftriaxone", False),
    ("What is given?", "Doxycycline 100 mg", "Doxycycline 200 mg twice daily", False),
    ("What is the cause?", "Treponema pallidum", "The spirochete Treponema pallidum", True),
    ("What is the cause?", "Treponema pallidum", "The spirochete Borrelia recurrentis", False),
    ("What is the cause?", "Escherichia coli", "E.coli", True),
    # spelling and word forms
    ("", "Para-aortic nodes", "Paraaortic nodes", True),
    ("", "Non-obstructive azoospermia", "Nonobstructive azoospermia", True),
    ("", "Obstructive azoospermia", "Nonobstructive azoospermia", False),
    ("", "Immobilize the spine", "Immobilization of the spine", True),
    ("", "Deficiency of iron", "Lack of iron", True),
    ("", "Excess of iron", "Lack of iron", False),
    ("", "Painful loss of vision", "Painful visual loss", True),
    ("", "Painful loss of vision", "Painless visual loss", False),
    # numbers and amounts
    ("", "18 to 20 weeks", "Between 18 and 20 weeks", True),
    ("", "18 to 20 weeks", "Between 18 and 21 weeks", False),
    ("", "23", "Twenty-three", True),
    ("", "23", "Twenty-four", False),
    ("", "7 days", "One week", True),
    ("", "7 days", "Two weeks", False),
    ("", "0.5 mg", "500 micrograms", True),
    ("", "0.5 mg", "50 micrograms", False),
    ("", "Base excess of -5", "Base excess of &minus;5", True),
    ("", "Base excess of -5", "Base excess of &minus;6", False),
    ("", "45,X", "45 X", True),
    ("", "Sodium and chloride", "Sodium chloride", False),
    ("", "Sodium, chloride", "Sodium chloride", False),
    ("", "Substantia nigra pars compacta", "Substantia nigra, pars compacta", True),
    ("", "12", "1, 2", False),
    ("", "2,5", "25", False),
    # antibodies and vaccines by their target
    ("", "Anti-Smith antibody", "Antibodies against Smith", True),
    ("", "Anti-IgG antibody", "IgG antibody", False),
    ("Which antibody?", "Anti-Smith antibody", "Anti-Smith", True),
    ("Which antibody?", "Anti-Smith", "Anti-Smith antibodies", True),
    ("Which antibody?", "Anti-Smith antibody", "Smith", False),
    ("Which antibody?", "Antibody to hepatitis B surface antigen", "HBsAg", False),
    ("", "IgG antibody", "Anti-IgG antibody", False),
    ("", "Yellow fever vaccine", "Vaccine against yellow fever", True),
    ("", "Yellow fever vaccine", "Against yellow fever", False),
]  # fmt: skip


@pytest.mark.parametrize(("question", "reference", "answer", "correct"), RULES)
def test_rule(question: str, reference: str, answer: str, correct: bool) -> None:
    assert judge_open_ended(answer, reference, {"question": question}).correct is correct


# What may stand around an answer of plain words: the words of each pattern that an answer may not have otherwise.
LEAD_INS = """
    i think it is | i think this is | i believe that | I would diagnose | I would choose | I would suggest
    I would recommend | Dx: | First-line: | Gold-standard test is | The gold standard treatment is
    Gold standard therapy is | The first line drug is | the first-line investigation is | proceed with | proceed to
    refer for | refer the patient for | management with | the patient should receive
    patient should undergo | the diagnosis is made by | diagnosis is confirmed by | it is diagnosed by
    it is treated by | it is supplied by the | it is caused by | it is innervated by the | it is produced by
    it is secreted by | it works by | it originates from | arises from the | it derives from | caused by
    the finding is consistent with | these findings are compatible with | clinical presentation is suggestive of
    the picture suggests | the features suggest | the symptoms indicate | his signs indicate | the sign suggests
    the history indicates | patient's history is indicative of | the results point to | the result points to
    his history is classic for | this child is typical of | the infant is characteristic of | the man has features of
    this woman most likely has | the boy strongly suggests | the girl has features of | it likely suggests
    the patient most likely has | this suggests | this is most consistent with | her symptom is consistent with
"""
EXPLANATIONS = """
    because of | since the | due to | caused by | secondary to | resulting from | as a result of | such as
    e.g. | for example | namely | as it has | as this has | as they have | given the | given his | given her
    given this | based on | causing | leading to | resulting in
"""
DOSES = """
    100 mg | 100 mcg | 100 ug | 2 g | 1 unit | 40 units | 40 IU | 5 ml | 5 mg/kg | 1 g/kg | 1.5 g once | 100 mg twice
    100 mg three times a day | 100 mg daily | 100 mg per day | 100 mg every 8 hours | 100 mg bid | 100 mg tid
    100 mg qid | 100 mg iv | 100 mg orally for 1 day | 100 mg for 7-10 days | 1 g for 1 week | 1 g for 2 weeks
    1 g for 1 month | 1 g for 6 months
"""
ORGANISMS = "bacterium bacteria spirochete protozoan parasite fungus yeast mold nematode helminth ameba amoeba".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ONES = "one two three four five six seven eight nine".split()


def phrases(table: str) -> list[str]:
    return [phrase.strip() for line in table.strip().splitlines() for phrase in line.split("|")]


@pytest.mark.parametrize(("answer", "reference"), [
    *((f"{words} hepatic encephalopathy", "Hepatic encephalopathy") for words in phrases(LEAD_INS)),
    *((f"Hepatic encephalopathy {words} long cirrhosis", "Hepatic encephalopathy") for words in phrases(EXPLANATIONS)),
    *((f"Doxycycline {dose}", "Doxycycline") for dose in phrases(DOSES)),
    *((f"{kind} Treponema pallidum", "Treponema pallidum") for kind in (*ORGANISMS, "The fungus")),
    *((f"{tens} {ones}", str(10 * ten + one))
      for ten, tens in enumerate(TENS, 2) for one, ones in enumerate(ONES, 1)),
    ("Ten per cent", "10%"), ("Ten percent", "10%"),
])  # fmt: skip
def test_words_around_an_answer_are_left_out(answer: str, reference: str) -> None:
    assert judge_open_ended(answer, reference, {}).correct


def test_examples_of_the_functions() -> None:
    assert [name.tokens for name in other_names(normalise("Acute heart attack"))] == [
        ("acute", "myocardium", "infarction")
    ]
    assert names_by_target("Anti-Smith antibodies")[-1] == "Smith antibody"
    assert names_by_target("Liver biopsy") == ()
    assert [amount.joined for amount in equal_amounts(normalise("500 mcg"))] == ["0.5mg"]
    assert equal_amounts(normalise("About 3 of 4")) == ()


def test_a_name_means_one_thing() -> None:
    groups: dict[tuple[str, ...], str] = {}
    for group in name_groups():
        assert len({normalise(name).tokens for name in group}) > 1, f"{group} says the same twice"
        for name in {normalise(name).tokens for name in group}:
            assert groups.setdefault(name, group[0]) == group[0], f"{name} is in two groups"


def test_word_forms_end_where_they_lead() -> None:
    """`fold` looks a word up once; so a form that is itself a word of the list must be its own form."""
    forms = word_forms()
    later = {"litre", "metre", "millilitre", "decilitre", "centimetre", "millimetre", "kilometre"}
    assert {word for word, form in forms.items() if forms.get(form, form) != form} <= later
    assert all(words for words in asked_words().values())

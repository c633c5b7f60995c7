import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.open_ended import judge_open_ended
from reward_score.passage import read_words

LONG = (
    "Gradenigo's syndrome is characterized by a classic triad of symptoms: persistent ear discharge, facial pain on "
    "the same side due to trigeminal nerve involvement, and double vision caused by abducens nerve impairment. It "
    "results from chronic otitis media and mastoiditis that affect the petrous apex of the left temporal bone."
)

# gold, answer, correct
TABLE = [
    (LONG, LONG, True),
    (LONG, LONG.upper(), True),
    (LONG, LONG.replace(" ", "\u00a0"), True),
    (
        LONG,
        "A triad of persistent ear discharge, facial pain from trigeminal nerve involvement and double vision from "
        "abducens nerve impairment, due to chronic otitis media with mastoiditis affecting the petrous apex of the "
        "temporal bone.",
        True,
    ),
    (LONG, LONG.replace("left", "right"), False),
    (LONG, LONG.replace("is characterized", "is not characterized"), False),
    *((LONG, word, False) for word in ("is", "the", "and", "of", "A", "0", "yes", "nerve", "", "?")),
    *((LONG, " ".join([word] * 50), False) for word in ("nerve", "gradenigo", "the")),
    (LONG, " ".join(LONG.split()[:8]), False),
    (LONG, " ".join(LONG.split()[:3]), False),
    (LONG, LONG + " " + "and many other things that nobody asked for " * 20, False),
    # D6: negation
    ("It is not benign.", "It is not benign.", True),
    ("It is not benign.", "It is benign.", False),
    ("It is benign.", "It is not benign.", False),
    ("It is benign.", "It isn't benign.", False),
    ("It isn't benign.", "It is not benign.", True),
    ("是良性的", "不是良性的", False),
    ("No evidence of metastasis", "Evidence of metastasis", False),
    ("No.", "No", True),
    ("No.", "Yes.", False),
    # opposites
    ("Right hemisection of the cord", "Left hemisection of the cord", False),
    ("Hypokalemia with metabolic alkalosis today", "Hyperkalemia with metabolic alkalosis today", False),
    ("benign prostatic hyperplasia", "malignant prostatic hyperplasia", False),
    # D8: scripts and accents
    ("糖尿病肾病", "糖尿病肾病。", True),
    ("糖尿病肾病", "高血压", False),
    ("Sjögren syndrome", "Sjogren syndrome", True),
    ("Ménière’s disease", "Meniere's disease", True),
    # D9: signs, numbers and units are kept
    ("< 5 mg", "5 mg", False),
    ("< 5 mg", "<5mg", True),
    ("≤ 5 mg", "<= 5 mg", True),
    ("≤ 5 mg", "< 5 mg", False),
    ("5 mg", "50 mg", False),
    ("5 mg", "5 g", False),
    ("1,200 mL", "1200 mL", True),
    ("-5 mmol", "5 mmol", False),
    ("none", "0", False),
    # short verifiable answers
    ("Myocardial infarction", "myocardial infarction", True),
    ("Myocardial infarction", "The most likely diagnosis is a myocardial infarction.", True),
    ("Myocardial infarction", "Acute myocardial infarction", True),
    ("Myocardial infarction", "Myocardial ischemia", False),
    # what denies, leaves open, or names a second thing
    *(("Myocardial infarction", text.format("myocardial infarction"), False) for text in (
        "not {}", "{} unlikely", "avoid {}", "stop {}", "other than {}", "anything but {}", "{} is excluded", "{}?",
        "{} is wrong", "the opposite of {}", "possibly {}", "{} or stroke", "either {} or stroke", "{} and stroke",
        "{}, stroke", "{}/stroke", "{}, which is ruled out", "{} (unlikely)")),
    # spelling, plurals, numbers, Greek, hyphens, abbreviations, brackets, class words
    ("Oesophageal varices", "Esophageal varix", False),
    ("Oesophageal varices", "esophageal varices", True),
    ("Haemolytic anaemia", "Hemolytic anemia", True),
    ("Pulmonary metastases", "Metastasis of the lung", True),
    ("Gram-negative diplococci", "Gram negative diplococcus", True),
    ("Stage II", "stage two", True),
    ("Second intercostal space", "2nd intercostal space", True),
    ("Pre-eclampsia", "Preeclampsia", True),
    ("Vitamin B12 deficiency", "Deficiency of vitamin B-12", True),
    ("Transposition of the great arteries (TGA)", "Transposition of the great arteries", True),
    ("Transposition of the great arteries (TGA)", "TGA", True),
    ("Atrioventricular (AV) node", "AV node", True),
    ("AV node", "Atrioventricular node", True),
    ("Right anterior cerebral artery", "Right ACA", True),
    ("Right anterior cerebral artery", "Left ACA", False),
    ("Right anterior cerebral artery", "Anterior cerebral artery on the right", True),
    ("Right renal artery", "Right (left) renal artery", False),
    ("Crohn's disease", "Crohn disease", True),
    ("Cushing's disease", "Cushing's syndrome", False),
    ("Pyrimethamine", "The drug is pyrimethamine.", True),
    ("Tocolysis to arrest labor", "Tocolysis", True),
    ("Vaccination to prevent hepatitis A", "Vaccination to prevent hepatitis B", False),
    ("Inhibition of DNA gyrase", "Inhibits DNA gyrase", True),
    ("Inhibition of DNA gyrase", "Activates DNA gyrase", False),
    # the initials of other words are not what an abbreviation stands for
    *(("MS", text, text == "multiple sclerosis") for text in ("multiple sclerosis", "MS, sarcoidosis", "MS, scurvy")),
    # an item of a list counts, even one of class words alone
    *(("Physical therapy, surgery", text, text.startswith("Surgical")) for text in (
        "Physical therapy", "Physical therapy, medication", "Surgical treatment and physical therapy")),
    # "both" is more than one, unless it only announces a list
    *(("Both kidneys", text, text != "Kidney") for text in ("Kidney", "Bilateral kidneys")),
    *((text, "Both spleen and kidney", True) for text in ("Kidney, spleen", "Spleen and kidney")),
    # answers about images
    *((text, "T1-weighted", text == "T1") for text in ("T1", "T2", "FLAIR")),
    *((text, "Transverse plane", text == "Axial plane") for text in ("Axial plane", "Frontal plane")),
    ("X-ray", "Plain film", True),
    *(("Respiratory", f"{system} system", system == "Respiratory") for system in ("Respiratory", "Nervous")),
    ("0", "Zero", True),
    # the order of opposites, roles and numbers
    ("Decreased renin and increased potassium", "Increased renin and decreased potassium", False),
    ("Decreased renin and increased potassium", "Increased potassium, decreased renin", True),
    ("Ask the nurse to call the doctor", "Ask the doctor to call the nurse", False),
    ("2-3 days", "3-2 days", False),
    ("Nephrotic syndrome", "Nephritic syndrome", False),
    ("Mild asthma", "Severe asthma", False),
    ("Femoral vein", "Femoral artery", False),
    ("Haloperidol (Haldol)", "Haldol", True),
    ("Myocardial infarction", "infarction", False),
    ("Myocardial infarction", "Myocardial infarction or pulmonary embolism", False),
    ("Myocardial infarction", "myocardial myocardial infarction infarction infarction", False),
    ("Type 1 diabetes mellitus in adults", "Type 2 diabetes mellitus in adults", False),
    # the letter or Roman numeral of a type, group or vitamin
    ("Vitamin A deficiency", "Vitamin D deficiency", False),
    ("Vitamin A deficiency", "a vitamin d deficiency", False),
    ("Vitamin A deficiency", "This is a vitamin deficiency", False),
    ("Vitamin A deficiency", "A vitamin A deficiency", True),
    ("Vitamin A deficiency", "a deficiency of vitamin a", True),
    ("Vitamin A deficiency", "VITAMIN A DEFICIENCY", True),
    ("维生素A缺乏", "维生素D缺乏", False),
    ("维生素A缺乏", "维生素 a 缺乏", True),
    ("Type I hypersensitivity reaction", "Type II hypersensitivity reaction", False),
    ("Type I hypersensitivity reaction", "Type IV hypersensitivity reaction", False),
    ("Type I hypersensitivity reaction", "type i hypersensitivity reaction", True),
    ("Protein S deficiency", "Protein C deficiency", False),
    ("Protein S deficiency", "protein s deficiency", True),
    ("Protein C deficiency", "Protein C and protein S deficiency", False),
    ("Group A Streptococcus", "Group B Streptococcus", False),
    ("Hepatitis A virus", "Hepatitis C virus", False),
    ("Hepatitis A virus", "hepatitis a virus", True),
    ("Hepatitis B virus", "Hepatitis B or A virus", False),
    ("Influenza A infection", "Influenza B infection", False),
    ("T cell lymphoma", "B cell lymphoma", False),
    ("T cell lymphoma", "a t-cell lymphoma", True),
    ("Bipolar I disorder", "Bipolar II disorder", False),
    ("Bipolar I disorder", "Bipolar I or II disorder", False),
    ("Cranial nerve I", "Cranial nerve II", False),
    ("Multiple endocrine neoplasia type I", "Multiple endocrine neoplasia type II", False),
    ("Myocardial infarction", "This is a myocardial infarction", True),
    ("Perform a lumbar puncture", "Perform the lumbar puncture", True),
    ("Crohn's disease", "CROHN'S DISEASE", True),
    ("S. aureus infection", "Staphylococcus aureus infection", True),
    ("Vitamin K", "IV vitamin K", True),
    ("Normal saline bolus", "IV normal saline bolus", True),
    ("The condition not typically associated with ulcerative colitis among the many listed is B. Pancreatitis.",
     "The condition not typically associated with ulcerative colitis among the many listed is pancreatitis", True),
    ("Gallstones", "gallstone", True),
    ("β-blocker", "Beta blockers", True),
    ("90 percent", "90%", True),
    ("valid", "valid", True),
    ("valid", "invalid", False),
    ("A. diner", "A. diner", True),
    ("The", "the", True),
    # nothing but signs
    ("< [ [ { } ] ] >", "<[[{}]]>", True),
    ("[ [ { } ] ]", "[[{}]]", True),
    ("[ [ { } ] ]", "[[{}}]", False),
    ("[ [ { } ] ]", "", False),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer", "correct"), TABLE)
def test_table(gold: str, answer: str, correct: bool) -> None:
    verdict = judge_open_ended(answer, gold, {})
    assert verdict.correct is correct
    assert 0.0 <= verdict.similarity <= 1.0


@pytest.mark.parametrize(
    ("gold", "answer", "similarity"),
    [
        ("Left anterior descending artery", "anterior descending", 0.5),  # F1 0.67
        ("Left anterior descending artery", "coronary artery", 2 / 6),
        ("Left anterior descending artery", "right anterior descending artery", 0.0),
        (LONG, LONG.partition(" ")[0], pytest.approx(0.0, abs=0.1)),
    ],
)
def test_a_wrong_answer_is_paid_for_common_words_but_half_at_most(gold: str, answer: str, similarity: float) -> None:
    verdict = judge_open_ended(answer, gold, {})
    assert (verdict.correct, verdict.similarity) == (False, similarity)


def test_so_is_a_passage_below_its_threshold() -> None:
    verdict = judge_open_ended(LONG[: len(LONG) * 9 // 10], LONG, {"threshold": 1.0})
    assert (verdict.correct, verdict.similarity) == (False, 0.5)


def test_similarity_orders_answers() -> None:
    words = LONG.split()
    similarities = [
        judge_open_ended(" ".join(words[:count]), LONG, {}).similarity for count in (3, 8, 20, 30, len(words))
    ]
    assert similarities == sorted(similarities)
    assert similarities[-1] == 1.0


@pytest.mark.parametrize(
    ("answers", "pred"),
    [
        (["sepsis", "Sepsis.", " SEPSIS ", "**Sepsis**", "The most likely diagnosis is sepsis."], "sepsis"),
        (["Vitamin A deficiency", "vitamin a deficiency."], "vitamin a deficiency"),
        (["1,200 mL", "1200.0 ml"], "1200 ml"),
        (["Not benign.", "It is not benign"], "not benign"),
        (["The", "the."], "the"),
        (["?"], ""),
    ],
)
@pytest.mark.parametrize("gold", ["Sepsis", LONG])
def test_answers_that_differ_in_dress_alone_are_read_alike(answers: list[str], pred: str, gold: str) -> None:
    assert {judge_open_ended(answer, gold, {}).pred for answer in answers} == {pred}


def test_signs_are_read_alike_whatever_the_spaces() -> None:
    assert {judge_open_ended(answer, "[ [ ] ]", {}).pred for answer in ("[[]]", "[ [ ] ]")} == {"[[]]"}


def test_threshold_is_the_rows_own() -> None:
    half = " ".join(LONG.split()[:30])
    assert judge_open_ended(half, LONG, {"threshold": 0.4}).correct
    assert not judge_open_ended(half, LONG, {"threshold": 0.9}).correct


def test_copying_the_question_is_worth_nothing() -> None:
    question = "Why does Gradenigo's syndrome with persistent ear discharge and facial pain cause double vision?"
    gold = (
        "Gradenigo's syndrome with persistent ear discharge and facial pain causes double vision by "
        "abducens nerve impairment."
    )
    assert judge_open_ended(question, gold, {}).correct, "without the question the copy is close enough"
    copied = judge_open_ended(question, gold, {"question": question})
    assert (copied.correct, copied.similarity) == (False, 0.0)
    assert judge_open_ended(gold, gold, {"question": question}).correct
    assert not judge_open_ended("give aspirin", "give heparin", {"question": "Is heparin or aspirin right?"}).correct


def test_the_beginning_of_a_question_that_shows_the_answer_is_worth_nothing() -> None:
    beginning = (
        "Which sentence has the right order of these many words in English: the nice big old black wooden dog house"
    )
    question = f"{beginning}, or the black big dog house?"
    gold = "The sentence with right order of these many words in English is: the nice big old black wooden dog house."
    assert judge_open_ended(beginning, gold, {}).correct, "without the question it is close enough"
    assert not judge_open_ended(beginning, gold, {"question": question}).correct
    assert judge_open_ended(beginning, beginning, {"question": question}).correct


def test_the_question_may_hold_the_whole_reference() -> None:
    question = "Is the lesion benign or malignant?"
    assert judge_open_ended("benign", "The lesion is benign", {"question": question}).correct
    assert judge_open_ended("The lesion is benign", "The lesion is benign", {"question": question}).correct
    assert not judge_open_ended("The lesion is malignant", "The lesion is benign", {"question": question}).correct


@pytest.mark.parametrize(
    ("question", "gold", "answer", "correct"),
    [
        ("Which artery runs along the digastric muscle?", "Occipital", "Occipital artery", True),
        ("Which artery runs along the digastric muscle?", "Occipital", "Occipital nerve", False),
        ("Which artery runs along the digastric muscle?", "Occipital artery", "Occipital", True),
        *(("What MRI sequence is it?", "T2", f"{text}-weighted MRI", text == "T2") for text in ("T2", "T1")),
        *(("Which plane is it?", "Transverse plane", text, text == "Axial") for text in ("Axial", "Coronal")),
        ("Where is the tumor?", "Right", "The tumor is on the right", True),
        ("Where is the tumor?", "Right", "The right answer is right", True),
        ("Where is the tumor?", "Right", "The right answer is the tumor", False),
        ("Where is the tumor?", "Right", "The tumor is on the left", False),
        ("Which lung is abnormal?", "Right lung", "The right lung is abnormal", True),
        ("Which lung is abnormal?", "Right lung", "The abnormal lung", False),
        ("What is wrong if the instrument slides?", "The instrument is dull", "Dull", True),
        ("What is wrong if the instrument slides?", "The instrument is dull", "Not dull", False),
        ("What is the least likely cause?", "Hypermagnesemia", "Hypermagnesemia is the least likely", True),
        ("What is the most likely cause?", "Hypermagnesemia", "Hypermagnesemia is the least likely", False),
        ("How many kcal are needed per day?", "2100", "2100 kcal per day", True),
        ("How many kcal are needed per day?", "2100", "2100 mg", False),
        ("What is the value of f(-1) if f(-2) is 4?", "The value of f(-1) is 9", "The value of f(-2) is 9", False),
        ("Is heparin, warfarin or aspirin right?", "Heparin", "Heparin warfarin aspirin", False),
        ("Is heparin sodium or heparin calcium right?", "Heparin sodium", "Heparin", False),
        (
            "What do the peaches and melons cost?",
            "The peaches are the most expensive",
            "The melons are the most expensive",
            False,
        ),
    ],
)
def test_the_question_tells_which_words_add_nothing(question: str, gold: str, answer: str, correct: bool) -> None:
    assert judge_open_ended(answer, gold, {"question": question}).correct is correct


@pytest.mark.parametrize(("question", "gold", "right", "wrong"), [
    ("Is it on the left or right side of the brain?", "Left", "On the left side of the brain", ["On the right side"]),
    ("Is the mass solid or cystic?", "Solid", "The mass is solid", ["Solid cystic", "Solid or cystic", "Mass"]),
    ("Was it T1 weighted or T2 weighted?", "T1", "T1 weighted", ["T2 weighted", "T1 T2 weighted"]),
    ("Was it X-ray, CT or MRI?", "X-ray", "It was X-ray", ["X-ray MRI", "CT X-ray", "MRI"]),
])  # fmt: skip
def test_an_answer_may_repeat_a_question_but_for_its_alternatives(question, gold, right, wrong) -> None:
    for answer in (right, *wrong):
        assert judge_open_ended(answer, gold, {"question": question}).correct is (answer == right), answer


def test_aliases_count_as_the_reference() -> None:
    spec = {"aliases": ["coronary event"]}
    assert judge_open_ended("A coronary event", "Myocardial infarction", spec).correct
    assert not judge_open_ended("A coronary event", "Myocardial infarction", {}).correct
    assert not judge_open_ended("A coronary event is unlikely", "Myocardial infarction", spec).correct
    with pytest.raises(ValueError, match="aliases"):
        judge_open_ended("x", "y", {"aliases": "coronary event"})


def test_an_answer_refused_for_a_cause_has_no_similarity() -> None:
    for answer in ("Vitamin B deficiency", "not vitamin A deficiency", "Vitamin A or D deficiency", "Vitamin A excess"):
        assert judge_open_ended(answer, "Vitamin A deficiency", {}).similarity == 0.0
    assert judge_open_ended("Deficiency of carotene", "Vitamin A deficiency", {}).similarity > 0.0


@pytest.mark.parametrize("verb", ["is", "are", "was", "were", "will be", "would be", "has been", "should be"])
def test_a_usual_opening_is_left_out_at_either_end(verb: str) -> None:
    opening, gold = "the most likely underlying diagnosis", "Hepatic encephalopathy"
    assert judge_open_ended(f"{opening} {verb} {gold}", gold, {}).correct is (verb != "should be")
    assert judge_open_ended(f"{gold} {verb} {opening}", gold, {}).correct is (verb not in ("will be", "has been"))


@pytest.mark.parametrize("verb", [
    "remain", "remains", "stay", "stays", "become", "becomes", "occur", "occurs", "arise", "arises", "apply", "applies",
])  # fmt: skip
def test_a_verb_with_a_meaning_of_its_own_stays(verb: str) -> None:
    answer = f"The most likely result {verb} unaltered"
    assert judge_open_ended(answer, f"{verb} unaltered", {}).correct
    assert not judge_open_ended(answer, "unaltered", {}).correct


CONTENT_WORDS = st.lists(
    st.sampled_from("sepsis femur aspirin ulnar nerve liver biopsy pneumonia cortex potassium".split()),
    min_size=1, max_size=4, unique=True,
)  # fmt: skip


@given(CONTENT_WORDS, CONTENT_WORDS)
def test_a_second_candidate_or_a_denial_is_never_right(words: list[str], others: list[str]) -> None:
    gold, other = " ".join(words), " ".join(others)
    assert judge_open_ended(gold, gold, {}).correct
    for answer in (f"{gold} or {other}", f"{other} or {gold}", f"not {gold}", f"{gold} is unlikely", f"neither {gold}"):
        assert not judge_open_ended(answer, gold, {}).correct, answer


@given(st.text(max_size=60), st.text(min_size=1, max_size=40))
def test_any_text_is_judged(answer: str, gold: str) -> None:
    try:
        verdict = judge_open_ended(answer, gold, {"question": "Which artery is it?"})
    except ValueError as error:
        assert "ground_truth is empty" in str(error) or "punctuation alone" in str(error)
    else:
        assert 0.0 <= verdict.similarity <= (1.0 if verdict.correct else 0.5)


@pytest.mark.parametrize("piece", ["a ", ",", "(a) ", "is ", "AB ", "because ", "x - ", "S. aureus ", "[", "A/", "or "])
def test_time_grows_with_the_length(piece: str) -> None:
    def seconds(size: int) -> float:
        started = time.process_time()
        judge_open_ended(piece * (size // len(piece)) + str(size), "Right anterior cerebral artery (ACA)" * 20, {})
        return time.process_time() - started

    seconds(100)
    short = max(min(seconds(2_000 + place) for place in range(3)), 1e-3)
    # Four times the length; sixteen would be quadratic. The bound is wide, because machines are busy.
    assert min(seconds(8_000 + place) for place in range(3)) < 13 * short


@pytest.mark.parametrize("gold", ["", " ", "\u200b"])
def test_an_empty_reference_is_an_error(gold: str) -> None:
    with pytest.raises(ValueError, match="ground_truth"):
        judge_open_ended("x", gold, {})


def test_words_of_a_text() -> None:
    assert sorted(read_words("The dose is < 1,200.50 mg").counts) == ["1200.5", "<", "dose", "mg"]
    assert read_words("糖尿病").total == 3


@pytest.mark.parametrize("gold", ["-", "\u2014", "...", "\u2026", "?", "--", ". ."])
def test_punctuation_in_place_of_an_answer_is_no_reference(gold: str) -> None:
    with pytest.raises(ValueError, match="is punctuation alone, and no answer"):
        judge_open_ended(gold, gold, {})


@pytest.mark.parametrize("gold", ["+", "<", "[]", "-5", "+/-"])
def test_signs_that_say_something_are_a_reference(gold: str) -> None:
    assert judge_open_ended(gold, gold, {}).correct

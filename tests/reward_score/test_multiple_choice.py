import pytest

from reward_score.multiple_choice import judge_multiple_choice, read_options

OPTIONS = {"A": "Heparin drip", "B": "Start drug", "C": "< 5 mg", "D": "E. coli", "E": "5 mg"}

# D17 and its kin: all of these say B
SAYS_B = (
    r"""B|b|B.|(B)|( b )|'B'|Correct Answer : B|[B]|**B**|*B*|`B`|"B"|B)|Option B|option (b)|Answer: B|The answer is B.
The correct answer is: **B**
\boxed{B}|$\boxed{B}$|\(B\)|\text{B}|\boxed{\text{B}}|The answer is \boxed{B}|Ｂ|（Ｂ）|Ⓑ|Β|В
B is correct|B is the correct answer
So, the answer is B|I choose B.|Based on the findings, the answer is B.|- B|> B|1. B|&nbsp;B
Die richtige Antwort ist B|La réponse est B|La respuesta correcta es B|答案是B|故选B|选择B选项|因此,正确答案为B。|答え:B
答えはBです|정답: B|Ответ: В|правильный ответ B|{"answer": "B"}|B!|B, B|B\n""".replace("\\n", " ")
    .replace("\n", "|")
    .split("|")
)
SAYS_B_WITH_OPTIONS = [
    "Start drug", "start drug.", "B: Start drug", "B. start drug", "(B) Start drug", "B) Start drug", "B Start drug",
    "B、Start drug", "B。Start drug",
    "B - Start drug", "B – Start drug", "Option B: Start drug", "**B. Start drug**", "The answer is: Start drug",
    "Start drug (B)", "Start drug, option B", "The answer is start drug (option B).", "B because it fits best",
    "B, since it explains all", "Start drug is the most likely answer",
    "The most appropriate next step is B. Start drug",
    "B. Start drug - unlike hepatitis E and vitamin D", "B. Start the drug today",
    r"\boxed{B: \text{Start drug}}", "ＳＴＡＲＴ　ＤＲＵＧ",
]  # fmt: skip
SAYS_NOTHING = [
    "", " ", "?", "A or B", "A, B", "A, B, C, D", "A and B", "AB", "A/B", "B or C", "b, c", "a b", "BB",
    "not B", "Not B",
    "B is wrong", "B: not this one", "neither", "Both B and C", "Either B or C", "B (or A)",
    r"\boxed{A}\boxed{B}", "1", "2.",
    "B-cell lymphoma", "a drug", "A patient with fever", "I think", "bee", "Bad", "Z", "β-blocker", "B" * 3000,
    "不是B", "B不对", "故选A、B", "A、B", '{"answer": "A or B"}',
    "B: Start drug is unlikely", "B. Start drug - ruled out", "B. No start drug", "B. Start drug or heparin drip",
    "B: possibly heparin drip instead of start drug", "B. Start drug is false", "Start drug (A)",
    "B. Start drug, heparin drip", "B. Heparin drip", "B: something else", "all of the above", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("answer", SAYS_B)
@pytest.mark.parametrize("options", [None, OPTIONS])
def test_letter_in_every_dress(answer: str, options: dict[str, str] | None) -> None:
    for gold, correct in (("B", True), ("A", False)):
        verdict = judge_multiple_choice(answer, gold, {"options": options})
        assert (verdict.correct, verdict.pred) == (correct, "B")


@pytest.mark.parametrize("answer", SAYS_B_WITH_OPTIONS)
def test_text_of_the_option(answer: str) -> None:
    verdict = judge_multiple_choice(answer, "B", {"options": OPTIONS})
    assert (verdict.correct, verdict.pred) == (True, "B")


@pytest.mark.parametrize("answer", SAYS_NOTHING)
def test_no_single_choice_is_wrong_whatever_the_gold(answer: str) -> None:
    for gold in OPTIONS:
        verdict = judge_multiple_choice(answer, gold, {"options": OPTIONS})
        assert (verdict.correct, verdict.pred) == (False, "")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("5 mg", "E"),
        ("< 5 mg", "C"),
        ("E. coli", "D"),
        ("D. E. coli", "D"),
        ("E. 5 mg", "E"),
        ("e", "E"),
        ("<5mg", "C"),
    ],
)
def test_signs_and_names_in_option_texts(answer: str, letter: str) -> None:
    assert judge_multiple_choice(answer, letter, {"options": OPTIONS}).pred == letter


LETTERED = {
    "A": "Hepatitis B virus",
    "B": "Aspirin",
    "C": "Vitamin K",
    "D": "Protein C deficiency",
    "E": "Hepatitis A virus",
}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("C. Vitamin K, an antidote", "C"),
        ("D) protein c deficiency (most common)", "D"),
        ("D. It is a Protein-C deficiency", "D"),
        ("E: Hepatitis A", "E"),
        ("B. Aspirin, as in plan X", "B"),
        ("B—Aspirin", "B"),
        ("B–Aspirin", "B"),
        ("B-Aspirin", "B"),
        ("**B**-aspirin.", "B"),
        # another option is named, or none
        ("D) protein C deficiency or C", ""),
        ("D. C", ""),
        ("D) or C", ""),
        ("D. Protein, C", ""),
        ("E: Hepatitis A or hepatitis B", ""),
        ("C. Vitamin K, or B", ""),
        ("B-Vitamin K", ""),
        ("B-Aspirin or C", ""),
        ("B-cell lymphoma", ""),
        ("A-Aspirin", ""),
    ],
)
def test_letters_and_dashes_in_option_texts(answer: str, letter: str) -> None:
    assert judge_multiple_choice(answer, "A", {"options": LETTERED}).pred == letter


def test_a_sign_is_no_dash() -> None:
    options = {"A": "5 mg", "B": "-5 mg", "C": "10 mg"}
    assert judge_multiple_choice("A -5 mg", "A", {"options": options}).pred == ""
    assert judge_multiple_choice("B -5 mg", "B", {"options": options}).pred == "B"


@pytest.mark.parametrize("letter", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
def test_any_letter_is_possible(letter: str) -> None:
    # D18: the release knew only A to N
    assert judge_multiple_choice(letter.lower(), letter, {}).correct
    assert judge_multiple_choice(f"({letter})", letter.lower(), {}).correct


def test_options_with_the_same_text_are_ambiguous() -> None:
    options = {"A": "aspirin", "B": "Aspirin", "C": "heparin"}
    assert not judge_multiple_choice("aspirin", "A", {"options": options}).correct
    assert judge_multiple_choice("A", "A", {"options": options}).correct


@pytest.mark.parametrize(
    ("gold", "options"),
    [("E", {"A": "x", "B": "y"}), ("yes", None), ("", None), ("AB", None), ("A or B", None), ("1", None),
     ("A", {"AA": "x"}), ("A", {"1": "x"}), ("A", [("A", "a", 1)]), ("A", 7), ("A", [{"letter": "A"}]),
     ("A", [{"letter": "A", "text": "x"}, {"letter": "a", "text": "y"}])],
)  # fmt: skip
def test_bad_rows_are_named(gold: str, options: object) -> None:
    with pytest.raises(ValueError, match=r"ground_truth|options"):
        judge_multiple_choice("A", gold, {"options": options})


def test_options_as_verl_hands_them_over() -> None:
    np = pytest.importorskip("numpy")
    items = [{"letter": letter, "text": text} for letter, text in OPTIONS.items()]
    assert read_options(items) == read_options(np.array(items, dtype=object)) == read_options(OPTIONS) == OPTIONS
    assert read_options(None) == read_options(np.array([], dtype=object)) == {}

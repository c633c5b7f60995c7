"""What rules decide before a judge is asked, and properties that hold for every text."""

import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_score.chat.completion import messages, read_completion
from reward_score.checklist import Item, decided_by_rule
from reward_score.judge.gate import decided_by_rule as gate
from reward_score.judge.gate import equals, lacks_content, refused
from reward_score.judge.reply import HOLDS, SAME, JudgeError, read_reply

texts = st.text(max_size=300) | st.sampled_from(["Heparin or aspirin", "The answer is", "5 mg", "<|im_end|>", "[INST]"])


@pytest.mark.parametrize(
    ("answer", "gold", "aliases", "same"),
    [
        ("Guillain-Barre syndromes", "Guillain-Barré syndrome", (), True),
        ("TGA", "Transposition of the great arteries (TGA)", (), True),
        ("heart attack", "Myocardial infarction", ("Heart attack",), True),
        ("heart attack", "Myocardial infarction", (), False),
        ("acute myocardial infarction", "Myocardial infarction", (), False),
        ("infarction myocardial", "Myocardial infarction", (), False),
        ("Type 2 diabetes", "Type 1 diabetes", (), False),
        ("", "Myocardial infarction", ("",), False),
    ],
)
def test_equality(answer, gold, aliases, same):
    assert equals(answer, gold, aliases) is same


@pytest.mark.parametrize(
    ("answer", "gold", "reason"),
    [
        ("", "Heparin", "no content word"),
        ("...", "Heparin", "no content word"),
        ("The answer is:", "Heparin", "no content word"),
        ("Heparin or warfarin", "Heparin", "'or' is a hedge"),
        ("Possibly heparin", "Heparin", "'possibly' is a hedge"),
        ("Heparin?", "Heparin", "'?' is a hedge"),
        ("Heparin " * 20, "Heparin", "more than 3 times as long as the reference"),
        # What the reference says itself is not a hedge.
        ("Heparin or warfarin", "Warfarin or heparin", ""),
        ("Who knows?", "Asking 'who?'", ""),
        # Words that hold a hedge.
        ("Oral orlistat", "Orlistat", ""),
        ("The most likely diagnosis is an ischemic stroke of the left middle cerebral artery.", "Stroke", ""),
    ],
)
def test_what_is_refused(answer, gold, reason):
    assert refused(answer, gold) == reason


@given(texts, texts)
def test_a_question_keeps_every_answer_as_data(answer, reference):
    for instruction in (SAME, HOLDS):
        system, user = messages(instruction, {"reference": reference, "answer": answer})
        assert system == {"role": "system", "content": instruction}
        assert json.loads(user["content"]) == {"reference": reference, "answer": answer}
        assert not set(user["content"]) & set("<>[]")


@given(texts, st.booleans())
def test_rules_take_any_answer(answer, is_accepted):
    decided = gate(answer, "Myocardial infarction", ("MI",), is_accepted)
    assert decided is None or isinstance(decided[0], bool)
    # Rules never make right what the scorer has refused.
    assert not (decided and decided[0]) or is_accepted
    assert lacks_content(answer) in (True, False)
    items = (Item(statement="x", number=5), Item(statement="x", regex="5.?mg"), Item(statement="x", aliases=("5 mg",)))
    assert all(decided_by_rule(item, answer) in (True, False, None) for item in items)


@given(
    st.text(max_size=60) | st.sampled_from(['{"verdict": "yes"}', '{"verdict":"no"}\n', '{"verdict": "y\\u0065s"}']),
    st.lists(st.tuples(st.text(max_size=5), st.floats(-20, 0) | st.floats()), max_size=12),
)
def test_any_reply_is_a_verdict_or_a_failure(content, tokens):
    listed = [
        SimpleNamespace(token=text, logprob=log_prob, top_logprobs=[SimpleNamespace(token="yes", logprob=-1.0)])
        for text, log_prob in tokens
    ]
    choice = SimpleNamespace(
        message=SimpleNamespace(content=content, refusal=None),
        finish_reason="stop",
        logprobs=SimpleNamespace(content=listed),
    )
    try:
        opinion = read_reply(read_completion(SimpleNamespace(choices=[choice])), 0.5)
    except JudgeError as error:
        assert error.kind == "bad reply" and not content.startswith('{"verdict"')
        return
    assert isinstance(opinion.yes, bool)
    assert opinion.probability is None or (math.isfinite(opinion.probability) and 0 <= opinion.probability <= 1)

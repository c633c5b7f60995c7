import json
from pathlib import Path
from typing import Any

import pytest

from reward_score import check_gold, compute_score

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"


def wrap(answer: str) -> str:
    return f"<think>Because of the history.</think>\n<answer>{answer}</answer>"


def real_rows(name: str) -> list[tuple[str, str, dict[str, Any]]]:
    path = DATA / f"{name}.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data")
    rows = json.loads(path.read_text(encoding="utf-8"))
    if name == "medcalc":
        limits = [{"lower_limit": row["Lower Limit"], "upper_limit": row["Upper Limit"]} for row in rows]
        return [("MedCalc-Bench", row["answer"], info) for row, info in zip(rows, limits, strict=True)]
    if name == "medical_o1":
        golds = [row["answer"].strip().removeprefix("<answer>").removesuffix("</answer>").strip() for row in rows]
        return [
            ("medical-o1-reasoning-SFT", gold, {"question": row["problem"]})
            for gold, row in zip(golds, rows, strict=True)
        ]
    source = {"mediq": "MedIQ", "medxpertqa": "MedXpertQA"}[name]
    return [(source, row["answer"], {"options": row.get("options") or row["choices"]}) for row in rows]


@pytest.mark.parametrize("name", ["medcalc", "mediq", "medxpertqa", "medical_o1"])
def test_every_gold_answer_of_the_real_data_is_right(name: str) -> None:
    rows = real_rows(name)
    failed = [(gold, check_gold(source, gold, info)) for source, gold, info in rows if check_gold(source, gold, info)]
    assert not failed
    assert all(compute_score(source, wrap(gold), gold, info)["score"] == 1.0 for source, gold, info in rows)


@pytest.mark.parametrize("name", ["mediq", "medxpertqa"])
def test_each_option_of_the_real_data_in_many_dresses(name: str) -> None:
    for source, gold, info in real_rows(name):
        for letter, text in info["options"].items():
            for answer in (
                text,
                f"{letter}. {text}",
                f"({letter.lower()})",
                f"**{letter}**",
                f"The answer is {letter}: {text}",
            ):
                assert compute_score(source, wrap(answer), gold, info)["acc"] == float(letter == gold), answer


def test_values_just_outside_the_limits_of_the_real_data_are_wrong() -> None:
    for source, gold, info in real_rows("medcalc"):
        if "/" in gold or "week" in gold:
            continue
        lower, upper = float(info["lower_limit"]), float(info["upper_limit"])
        step = 0.51 if lower == upper else 1e-5 * max(1.0, abs(upper))
        for answer in (lower - step, upper + step):
            assert compute_score(source, wrap(f"{answer:.10f}"), gold, info)["acc"] == 0.0


def test_hacks_earn_nothing_on_the_real_references() -> None:
    rows = real_rows("medical_o1")
    references = [gold for _, gold, _ in rows]

    def share(answers: list[str]) -> float:
        scored = [compute_score(s, wrap(a), g, i)["acc"] for a, (s, g, i) in zip(answers, rows, strict=True)]
        return sum(scored) / len(scored)

    for constant in ("is", "the", "and", "of", "A", "0"):
        assert share([constant] * len(rows)) == 0.0
    assert share(references[1:] + references[:1]) <= 0.001
    assert share([" ".join([max(gold.split(), key=len)] * 50) for gold in references]) <= 0.001
    prefixes = [" ".join(gold.split()[:8]) if len(gold.split()) > 8 else "" for gold in references]
    assert share(prefixes) <= 0.01
    assert share([" ".join(info["question"].split()[:20]) for _, _, info in rows]) <= 0.01

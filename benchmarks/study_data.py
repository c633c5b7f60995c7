"""The questions of a study: which formulas are seen in training, and the commands that prepare them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from study_plan import Data

from verl_medu1.data.calculators.catalogue import CALCULATORS
from verl_medu1.data.calculators.generate import generate
from verl_medu1.data.generated.prepare import PROMPTS_FILE

# Questions of each formula that are measured, and their seed, which is that of no question of the study.
MEASURED, MEASURED_SEED = 100, 10_000
# Held-out questions, below the folder of the data; what stands alone in its folder is called train.parquet there.
SEEN, UNSEEN, MEDCALC = "main/test.parquet", "unseen/train.parquet", "medcalc/train.parquet"


def choose_formulas(data: Data, count: Callable[[str], int]) -> tuple[list[str], list[str]]:
    """Return the formulas that are trained on, and those that are not.

    Args:
        data: how many there are.
        count: the number of tokens of a text.
    """
    tokens: dict[str, list[int]] = {name: [] for name in CALCULATORS}
    for worked in generate(MEASURED * len(CALCULATORS), MEASURED_SEED):
        tokens[worked.calculator].append(count(f"{worked.example.question} {worked.explanation} {worked.example.gold}"))
    shortest = sorted(tokens, key=lambda name: float(np.median(tokens[name])))[: data.formulas]
    unseen = shortest[data.unseen_every - 1 :: data.unseen_every]
    return [name for name in shortest if name not in unseen], unseen


def preparations(
    data: Data, demonstrations: int, formulas: tuple[list[str], list[str]], model: Path, files: Path, out: Path
) -> dict[Path, Sequence[str]]:
    """Return the arguments of `medu1 prepare` for each folder of questions, in order.

    What is held out is prepared first, so that none of it is trained on.

    Args:
        data: sizes.
        demonstrations: number of them.
        formulas: what is trained on, and what is not.
        model: folder of the model, whose tokenizer counts.
        files: folder with medcalc.json and medmcqa_validation.parquet, as published.
        out: folder of the questions.
    """
    seen, unseen = (",".join(names) for names in formulas)
    common = ["--prompts", str(PROMPTS_FILE), "--tokenizer", str(model), "--max-prompt-tokens", str(data.prompt_tokens)]
    common += [word for budget in data.budgets for word in ("--budget", budget)]
    held_out = [word for file in (UNSEEN, MEDCALC) for word in ("--benchmark", str(out / file))]
    main = ["--source", f"synthetic-calc={data.generated}:{seen}"]
    main += ["--source", f"medmcqa={files / 'medmcqa_validation.parquet'}", "--cap", f"medmcqa={data.medmcqa}"]
    main += ["--test-share", str(data.test_share), "--warmup", str(demonstrations), *held_out, *common]
    return {
        out / "unseen": ["--source", f"synthetic-calc={data.unseen}:{unseen}", "--test-share", "0", *common],
        out / "medcalc": ["--source", f"medcalc={files / 'medcalc.json'}", "--test-share", "0", *common],
        out / "main": main,
    }

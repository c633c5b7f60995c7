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
# Held-out questions that are the same for all seeds, below the folder of the study; what stands alone in its folder is
# called train.parquet there.
UNSEEN, MEDCALC = "unseen/train.parquet", "medcalc/train.parquet"


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


def held_out(data: Data, unseen: Sequence[str], model: Path, files: Path, out: Path) -> dict[Path, list[str]]:
    """Return the arguments of `medu1 prepare` for what no seed is trained on, by the folder to write.

    Args:
        data: sizes.
        unseen: formulas that are not trained on.
        model: folder of the model, whose tokenizer counts.
        files: folder with medcalc.json, as published.
        out: folder of the study.
    """
    common = [*_common(data, model), "--test-share", "0"]
    generated = f"synthetic-calc={data.unseen}:{','.join(unseen)}"
    return {
        (out / UNSEEN).parent: ["--source", generated, *common],
        (out / MEDCALC).parent: ["--source", f"medcalc={files / 'medcalc.json'}", *common],
    }


def of_seed(
    data: Data, demonstrations: int, seen: Sequence[str], model: Path, files: Path, out: Path, seed: int
) -> list[str]:
    """Return the arguments of `medu1 prepare` for the questions of a seed, without those that are held out for all.

    Args:
        data: sizes.
        demonstrations: number of them.
        seen: formulas that are trained on.
        model: folder of the model, whose tokenizer counts.
        files: folder with medmcqa_validation.parquet, as published.
        out: folder of the study, which has what is held out.
        seed: of questions, order and split.
    """
    benchmarks = [word for file in (UNSEEN, MEDCALC) for word in ("--benchmark", str(out / file))]
    sources = ["--source", f"synthetic-calc={data.generated}:{','.join(seen)}"]
    sources += ["--source", f"medmcqa={files / 'medmcqa_validation.parquet'}", "--cap", f"medmcqa={data.medmcqa}"]
    split = ["--test-share", str(data.test_share), "--warmup", str(demonstrations), "--seed", str(seed)]
    return [*sources, *split, *benchmarks, *_common(data, model)]


def _common(data: Data, model: Path) -> list[str]:
    common = ["--prompts", str(PROMPTS_FILE), "--tokenizer", str(model), "--max-prompt-tokens", str(data.prompt_tokens)]
    return common + [word for budget in data.budgets for word in ("--budget", budget)]

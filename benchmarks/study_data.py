"""The questions of a study: the commands that prepare them."""

from pathlib import Path

from study_plan import Data

from verl_medu1.data.generated.prepare import PROMPTS_FILE

# Held-out questions that are the same for all seeds, below the folder of the study; what stands alone in its folder is
# called train.parquet there.
UNSEEN, MEDCALC = "unseen/train.parquet", "medcalc/train.parquet"


def held_out(data: Data, model: Path, files: Path, out: Path) -> dict[Path, list[str]]:
    """Return the arguments of `medu1 prepare` for what no seed is trained on, by the folder to write.

    Args:
        data: sizes.
        model: folder of the model, whose tokenizer counts.
        files: folder with medcalc.json, as published.
        out: folder of the study.
    """
    common = [*_common(data, model), "--test-share", "0"]
    generated = f"synthetic-calc={data.unseen}:{','.join(data.unseen_formulas)}"
    return {
        (out / UNSEEN).parent: ["--source", generated, *common],
        (out / MEDCALC).parent: ["--source", f"medcalc={files / 'medcalc.json'}", *common],
    }


def of_seed(data: Data, demonstrations: int, model: Path, files: Path, out: Path, seed: int) -> list[str]:
    """Return the arguments of `medu1 prepare` for the questions of a seed, without those that are held out for all.

    Args:
        data: sizes.
        demonstrations: number of them.
        model: folder of the model, whose tokenizer counts.
        files: folder with medmcqa_validation.parquet, as published.
        out: folder of the study, which has what is held out.
        seed: of questions, order and split.
    """
    benchmarks = [word for file in (UNSEEN, MEDCALC) for word in ("--benchmark", str(out / file))]
    sources = ["--source", f"synthetic-calc={data.generated}:{','.join(data.formulas)}"]
    sources += ["--source", f"medmcqa={files / 'medmcqa_validation.parquet'}", "--cap", f"medmcqa={data.medmcqa}"]
    split = ["--test-share", str(data.test_share), "--warmup", str(demonstrations), "--seed", str(seed)]
    return [*sources, *split, *benchmarks, *_common(data, model)]


def _common(data: Data, model: Path) -> list[str]:
    common = ["--prompts", str(PROMPTS_FILE), "--tokenizer", str(model), "--max-prompt-tokens", str(data.prompt_tokens)]
    return common + [word for budget in data.budgets for word in ("--budget", budget)]

"""The steps of `medu1 eval`, in order."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from verl_medu1.evaluate import storage
from verl_medu1.evaluate.questions import read_questions
from verl_medu1.evaluate.scoring import score_response
from verl_medu1.evaluate.summary import summarize


def run_evaluation(model: str, data: Path, out: Path, sampling: Any) -> dict[str, Any]:
    """Generate, score, summarise and store.

    Args:
        model: folder in Hugging Face's format, or name on the hub.
        data: prepared parquet.
        out: folder for samples.jsonl and summary.json; an evaluation in it is replaced.
        sampling: `verl_medu1.evaluate.generation.Sampling`.

    Returns:
        The summary.

    Raises:
        ValueError: an input is wrong; no engine has been started.
    """
    questions = read_questions(data)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {out} can't be made ({error.strerror}); choose another folder.") from None

    from verl_medu1.evaluate import generation

    generation.set_environment(model)
    tokenizer = generation.load_tokenizer(model)
    responses = generation.generate(model, tokenizer, questions, sampling)
    samples = [
        score_response(question, response, number)
        for question, of_question in zip(questions, responses, strict=True)
        for number, response in enumerate(of_question)
    ]
    summary = {
        "model": generation.describe_model(model),
        "data": str(data),
        "sampling": asdict(sampling),
        **summarize(samples, sampling.seed),
    }
    storage.write_jsonl(out / storage.SAMPLES, samples)
    storage.write_json(out / storage.SUMMARY, summary)
    return summary

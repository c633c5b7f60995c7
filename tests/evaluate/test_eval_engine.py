"""`medu1 eval` through the real engine, on a random model whose tokens can be counted in their text."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.uniform_model import build_uniform_model

MAX_TOKENS, QUESTIONS, SAMPLES = 48, 12, 3


def _write_data(path: Path) -> None:
    rows = [
        {
            "data_source": ["MedQA", "MedCalc-Bench"][number % 2],
            "prompt": [{"role": "system", "content": "case"}, {"role": "user", "content": f"Which case {number}"}],
            "reward_model": {"style": "rule", "ground_truth": ["B", "12.5"][number % 2]},
            "extra_info": {
                "row_id": str(number),
                "options": [{"letter": letter, "text": f"choice {letter}"} for letter in "AB"][: 2 - 2 * (number % 2)],
                "budget_mode": ["exact", "none"][number % 2],
                "budget_tokens": [20, 0][number % 2],
                "budget_counts": "response",
            },
        }
        for number in range(QUESTIONS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.e2e
@pytest.mark.timeout(240)
def test_eval_generates_counts_scores_and_summarises(tmp_path: Path) -> None:
    build_uniform_model(tmp_path / "model", [*map(chr, range(33, 127)), "\u0120"], positions=128)
    # Training does not sample by it, and neither does the evaluation: each question would have one answer.
    defaults = {"do_sample": True, "top_k": 1, "top_p": 0.01, "repetition_penalty": 5.0, "eos_token_id": 0}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(defaults))
    _write_data(tmp_path / "data.parquet")
    command = [sys.executable, "-c", "import typer; from verl_medu1.cli.evaluate import evaluate; typer.run(evaluate)"]
    command += ["--model", str(tmp_path / "model"), "--data", str(tmp_path / "data.parquet")]
    command += ["--out", str(tmp_path / "out"), "--max-tokens", str(MAX_TOKENS), "--samples", str(SAMPLES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

    samples = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    keys = [(int(sample["row_id"]), sample["sample"]) for sample in samples]
    assert keys == [(row, number) for row in range(QUESTIONS) for number in range(SAMPLES)]
    for sample in samples:
        # One character is one token; the end token counts, and is there unless the limit came first.
        characters = len(sample["response"])
        assert sample["length"] == (characters if sample["truncated"] else characters + 1)
        assert (sample["length"] == MAX_TOKENS) if sample["truncated"] else (sample["length"] <= MAX_TOKENS)
        expected = abs(sample["length"] - 20) if sample["budget_mode"] == "exact" else 0
        assert sample["budget_distance"] == expected
        assert sample["error"] == 0
    assert {sample["truncated"] for sample in samples} == {0.0, 1.0}
    assert len({sample["response"] for sample in samples}) > QUESTIONS * SAMPLES / 2  # each has a seed of its own

    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["model"]["architecture"] == "Qwen2ForCausalLM"
    assert summary["model"]["parameters"] > 50_000
    assert summary["overall"]["questions"] == QUESTIONS
    assert summary["overall"]["samples"] == QUESTIONS * SAMPLES
    assert set(summary["data_source"]) == {"MedQA", "MedCalc-Bench"}
    assert "MedCalc-Bench" in done.stdout
    assert "0.0 [0.0," in done.stdout


@pytest.mark.e2e
def test_prompts_are_those_of_training(tmp_path: Path) -> None:
    from verl.utils.tokenizer.continuous_token import ContinuousTokenBuilder

    from verl_medu1.evaluate.generation import load_tokenizer, render_prompts
    from verl_medu1.evaluate.questions import read_questions

    build_uniform_model(tmp_path / "model", [*map(chr, range(33, 127)), "\u0120"], positions=128)
    _write_data(tmp_path / "data.parquet")
    tokenizer = load_tokenizer(str(tmp_path / "model"))
    questions = read_questions(tmp_path / "data.parquet")
    builder = ContinuousTokenBuilder(tokenizer)
    rendered = [prompt.tokens for prompt in render_prompts(str(tmp_path / "model"), tokenizer, questions, {})]
    assert rendered == [builder.build_initial_tokens(question.prompt) for question in questions]
    assert tokenizer.decode(rendered[3]) == "system case user Which case 3 assistant"

"""Images on the real stack: warm-up, training, evaluation, export, report; trainer and rollout see the same."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.e2e.runs import medu1
from verl_medu1.run_folder.checkpoints import newest_model
from verl_medu1.run_folder.names import AFTER, BEFORE, METRICS, REPORT

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1800)]
STEPS, QUESTIONS, SAMPLES = 2, 4, 4


def log_probs(model: Path, rows: list[dict[str, Any]], pictures: list[bytes]) -> list[float]:
    """The mean log-probability of each gold answer under a model of transformers that is shown these pictures."""
    import torch
    from transformers import AutoModelForImageTextToText

    from verl_medu1.data.images.shown import load_processor, with_images

    processor = load_processor(str(model), "model")
    network = AutoModelForImageTextToText.from_pretrained(model)
    found = []
    for row, picture in zip(rows, pictures, strict=True):
        prompt = processor.apply_chat_template(
            with_images(row["prompt"], [picture]), add_generation_prompt=True, tokenize=False
        )
        answer = f"<answer>{row['reward_model']['ground_truth']}</answer>"
        image = Image.open(io.BytesIO(picture))
        inputs = processor(text=[prompt + answer], images=[image], return_tensors="pt")
        length = len(processor.tokenizer(answer)["input_ids"])
        with torch.no_grad():
            every = torch.log_softmax(network(**inputs).logits[0, :-1], -1)
        own = every.gather(-1, inputs["input_ids"][0, 1:, None])[-length:]
        found.append(float(own.mean()))
    return found


def test_a_model_with_images_is_warmed_up_trained_evaluated_exported_and_reported(tmp_path: Path) -> None:
    data, model, warm, run = (tmp_path / name for name in ("data", "model", "warm", "run"))
    medu1("prepare", "--source", "quickstart-images", "--train", 64, "--warmup", 1600, "--out", data)
    medu1("model", "tiny-vl", "--data", data, "--out", model)
    keys = {"run_dir": warm, "model.path": model, "data.train_files": data / "warmup.parquet"}
    medu1("sft", "recipe=images-cpu", *(f"{key}={value}" for key, value in keys.items()), "trainer.total_epochs=1")
    start = newest_model(warm)
    held_out = ["--data", data / "test.parquet", "--max-tokens", 32]
    medu1("eval", "--model", start, *held_out, "--out", run / BEFORE)
    keys = {
        "run_dir": run,
        "actor_rollout_ref.model.path": start,
        "data.train_files": data / "train.parquet",
        "data.val_files": data / "test.parquet",
        "data.train_batch_size": QUESTIONS,
        "actor_rollout_ref.actor.ppo_mini_batch_size": QUESTIONS,
        "actor_rollout_ref.rollout.n": SAMPLES,
        # Right answers that rest on the picture earn up to 1 more (docs/methods/capo.md).
        "scoring.perception.weight": 1,
        "actor_rollout_ref.rollout.agent.default_agent_loop": "medu1_seeded",
        "actor_rollout_ref.rollout.enable_chunked_prefill": "false",
        # The trainer computes the log-probabilities of the rollout again, and logs how far the two are apart.
        "algorithm.rollout_correction.bypass_mode": "false",
        "trainer.total_training_steps": STEPS,
        "trainer.save_freq": STEPS,
    }
    medu1("train", "recipe=images-cpu", *(f"{key}={value}" for key, value in keys.items()))

    metrics = [json.loads(line)["data"] for line in (run / METRICS).read_text().splitlines()]
    assert len(metrics) == STEPS
    # The few answers of a step may all be wrong, and then it changes nothing.
    assert any(step["actor/grad_norm"] > 0 for step in metrics)
    for step in metrics:
        # Once the warm-up has made tokens of images unlikely: only the rollout leaves them out (docs/images.md).
        assert step["training/rollout_probs_diff_max"] < 1e-4
    answers = [json.loads(line) for line in (run / "rollouts" / "1.jsonl").read_text().splitlines()]
    assert len(answers) == QUESTIONS * SAMPLES
    assert any(abs(answer["perception_gain"]) > 1e-6 for answer in answers)
    for answer in answers:
        is_right = answer["acc"] == answer["format"] == 1.0
        assert answer["perception"] == (min(max(answer["perception_gain"] / 0.1, 0.0), 1.0) if is_right else 0.0)
        assert answer["score"] == pytest.approx(is_right + answer["perception"])

    # The answer's probability depends on the picture, after the training, too.
    trained = newest_model(run)
    rows = pq.read_table(data / "test.parquet").slice(0, 8).to_pylist()
    own = [row["images"][0]["bytes"] for row in rows]
    shown, others = (log_probs(trained, rows, pictures) for pictures in (own, [*own[1:], own[0]]))
    assert all(abs(one - other) > 1e-4 for one, other in zip(shown, others, strict=True))

    medu1("eval", "--model", trained, *held_out, "--out", run / AFTER)
    # The exported model has the log-probabilities that the training engine has recorded, of a text after an image.
    record = json.loads(next(run.glob("checkpoints/*/actor/log_probs.json")).read_text())
    assert record["with_image"] is True
    exported = medu1("export", run, "--out", tmp_path / "exported")
    assert "they differ by" in exported
    medu1("report", run)
    page = (run / REPORT).read_text()
    assert page.count('<p class="seen"><img src="data:image/png;base64,') >= 2

"""Commands for `scale.py`, with the files that they read: questions to prepare, and the folder of a finished run."""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_medu1.evaluate.summary import summarize
from verl_medu1.run_folder import evaluations
from verl_medu1.run_folder.names import AFTER, BEFORE, ROLLOUTS, TENSORBOARD

GIB = 2**30
STARTS = ("cardio", "nephro", "hepato", "pulmo", "gastro", "dermo", "osteo", "neuro", "angio", "myo")
ENDS = ("pathy", "gram", "tic", "sis", "itis", "oma", "gen", "lysis", "ine", "logy", "ectomy", "plasty")
WORDS = [f"{start}{middle}{end}" for start in STARTS for middle in ("", "vaso", "lipo", "hemo") for end in ENDS]
TYPES = ("multiple_choice", "calculation", "open_ended")
STEPS = 1000  # of the reported run
# `medu1`, which at its end writes what the kernel knows of its memory: the peak that `wait` returns counts that of the
# process that started it.
WATCHED = """
import atexit, pathlib, sys
from verl_medu1.cli.app import main
file = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: file.write_bytes(pathlib.Path("/proc/self/status").read_bytes()))
main()
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended: its wall and processor seconds, and the most memory that its process held."""

    seconds: float
    processor_seconds: float
    peak_gib: float


def run_medu1(folder: Path, *arguments: str) -> Ended:
    """Run `medu1` with these arguments, and measure it; end with a sentence if it fails.

    Args:
        folder: for a file about its memory.
        arguments: of `medu1`.
    """
    status_file = folder / "status"
    command = [sys.executable, "-c", WATCHED, str(status_file), *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"medu1 {' '.join(arguments)} ended with exit code {process.returncode}.")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status_file.read_text())
    assert peak, "Linux names the peak of a process VmHWM"
    return Ended(seconds, usage.ru_utime + usage.ru_stime, int(peak[1]) * 1024 / GIB)


def write_questions(path: Path, number: int) -> None:
    """Write multiple-choice questions of 10 to 60 words that do not repeat, one JSON object a line."""
    rng = random.Random(0)
    with path.open("w") as file:
        for row in range(number):
            question = {
                "id": str(row),
                "question": " ".join(rng.choices(WORDS, k=rng.randint(10, 60))) + "?",
                "options": {letter: " ".join(rng.choices(WORDS, k=3)) for letter in "ABCD"},
                "answer": rng.choice("ABCD"),
            }
            file.write(json.dumps(question) + "\n")


def write_run(folder: Path, samples: int) -> None:
    """Write the folder of a run of `STEPS` steps, half of the samples evaluated before and half after the training.

    Four rollout dumps, of which the report reads all, have an eighth of the samples each.
    """
    for place, share in ((BEFORE, 0.4), (AFTER, 0.7)):
        (folder / place).mkdir(parents=True)
        rows = list(_samples(samples // 2, share))
        evaluations.write_jsonl(folder / place / evaluations.SAMPLES, rows)
        model = {"path": "model", "architecture": "Qwen2ForCausalLM", "parameters": 7_615_616_512}
        evaluations.write_json(folder / place / evaluations.SUMMARY, {"model": model, **summarize(rows)})
    (folder / ROLLOUTS).mkdir()
    for step in range(STEPS // 4, STEPS + 1, STEPS // 4):
        rows = [
            row | {"input": row["prompt"][1]["content"], "output": row["response"], "gts": row["ground_truth"]}
            for row in _samples(samples // 8, 0.5)
        ]
        evaluations.write_jsonl(folder / ROLLOUTS / f"{step}.jsonl", rows)
    _write_scalars(folder / TENSORBOARD)


def _samples(number: int, share: float) -> Iterator[dict[str, Any]]:
    """Yield rows of samples.jsonl with about 250 words of response, the given share of them right."""
    rng = random.Random(share)
    for row in range(number):
        right = rng.random() < share
        length = rng.randint(150, 350)
        answer = "12.5" if right else "99"
        yield {
            "row_id": f"q{row}",
            "sample": 0,
            "data_source": f"source-{row % 6}",
            "asked_as": "as_prepared",
            "prompt": [
                {"role": "system", "content": "Think, then answer."},
                {"role": "user", "content": f"Question {row}: {' '.join(rng.choices(WORDS, k=40))}?"},
            ],
            "ground_truth": "12.5",
            "response": f"<think>{' '.join(rng.choices(WORDS, k=length))}</think><answer>{answer}</answer>",
            "score": float(right),
            "acc": float(right),
            "format": 1.0,
            "pred": answer,
            "answer_type": TYPES[row % len(TYPES)],
            "error": 0.0,
            "length": length,
            "truncated": 0.0,
            "counted_tokens": length,
            "budget_mode": "max",
            "budget_tokens": 300,
            "budget_distance": float(max(0, length - 300)),
        }


def _write_scalars(folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    names = [f"reward/source-{source}/{name}/mean" for source in range(6) for name in ("acc", "score", "length")]
    names += ["critic/score/mean", "actor/grad_norm", "timing_s/step", "timing_s/gen", "timing_s/update_actor"]
    with SummaryWriter(str(folder)) as writer:
        for step in range(1, STEPS + 1):
            for name in names:
                writer.add_scalar(name, step / STEPS, step)

"""LoRA beside full training on the quickstart: the reward of each, and the bytes of the optimizer.

    make quickstart
    python benchmarks/lora.py outputs/quickstart [--lr 6e-4]

Takes a finished quickstart, and trains LoRA from the same warmed-up model on the same questions. The answers of a step
are sampled, so that two runs of one kind differ, too.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from measure import measure_or_exit

from verl_medu1.run_folder.checkpoints import newest_model
from verl_medu1.run_folder.reader import read_scalars

LAST = 8


def rewards(run: Path) -> list[float]:
    """Mean reward of each step."""
    return list(read_scalars(run / "tensorboard")["critic/score/mean"].values())


def optimizer_bytes(model: Path, *overrides: str) -> float:
    """Of a rank, as planned; tests/cpu/test_lora_memory.py compares the plan with the tensors."""
    command = [sys.executable, "-m", "verl_medu1.cli.app", "plan", "recipe=quickstart", "--json", *overrides]
    done = subprocess.run(
        [*command, f"actor_rollout_ref.model.path={model}"], capture_output=True, text=True, check=True
    )
    found: float = json.loads(done.stdout)["ranks"][0]["phases"]["training"]["optimizer"]
    return found


def main(
    quickstart: Annotated[Path, typer.Argument(help="Folder of a finished quickstart.", show_default=False)],
    lr: Annotated[list[str] | None, typer.Option(help="Learning rate of LoRA; may be repeated. Default: 6e-4.")] = None,
) -> None:
    """Train and compare."""
    warm = newest_model(quickstart / "warmup")
    runs = {"full training": quickstart}
    for rate in lr or ["6e-4"]:
        runs[f"LoRA of rank 16, lr {rate}"] = run = quickstart.with_name(f"{quickstart.name}-lora-{rate}")
        files = [
            f"data.{name}_files={quickstart}/data/{name.replace('val', 'test')}.parquet" for name in ("train", "val")
        ]
        arguments = [f"run_dir={run}", f"actor_rollout_ref.model.path={warm}", *files, "data.seed=1", "lora=r16"]
        arguments.append(f"actor_rollout_ref.actor.optim.lr={rate}")
        command = [sys.executable, "-m", "verl_medu1.cli.app", "train", "recipe=quickstart", *arguments]
        measure_or_exit(command, f"{run}.log")
    print(f"| training | mean reward of all steps | of the last {LAST} |\n|---|---|---|")
    for name, run in runs.items():
        found = rewards(run)
        print(f"| {name} | {sum(found) / len(found):.2f} | {sum(found[-LAST:]) / LAST:.2f} |")
    full, adapters = optimizer_bytes(warm), optimizer_bytes(warm, "lora=r16")
    print(
        f"\noptimizer of a rank: {adapters:,.0f} bytes with LoRA, {full:,.0f} in full training: {adapters / full:.1%}"
    )


if __name__ == "__main__":
    typer.run(main)

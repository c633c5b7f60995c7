"""verl finds our trainers, which nothing of verl's imports."""

import subprocess
import sys


def test_verl_finds_our_trainers_by_their_names():
    program = """
from verl.trainer.ppo.v1 import get_trainer_cls
print(*(get_trainer_cls(name).__name__ for name in ("medu1_sync", "medu1_colocate_async")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MedU1TrainerSync", "MedU1TrainerColocateAsync"]

"""benchmarks/selection.py: each order of MedCCO has as many questions of each type as its mixed control."""

import runpy
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from verl_medu1.training.mixture_sampler import batch_families, plan_stages

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "selection.py"
# Of the recipes that the benchmark trains.
BATCH = 12


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(FILE.parent))
    return runpy.run_path(str(FILE))


@pytest.mark.parametrize("method", ["medcco", "medcco-images"])
def test_each_order_has_the_questions_of_the_control(benchmark: dict[str, Any], method: str) -> None:
    found, first = {}, {}
    for way, (_, keys) in benchmark["COMPARISONS"][method].ways.items():
        weights = yaml.safe_load(keys["data.mixture.weights"])
        stages = plan_stages(
            weights, weights, yaml.safe_load(keys.get("data.mixture.stages", "null")), benchmark["STEPS"]
        )
        batches = [batch for stage in stages for batch in islice(batch_families(stage.weights, BATCH), stage.steps)]
        found[way] = Counter(family for batch in batches for family in batch)
        first[way] = set(batches[0])
    assert found["mixed"] == found["closed first"] == found["closed last"]
    assert "open_ended" in first["mixed"] and "open_ended" not in first["closed first"]
    assert "open_ended" in first["closed last"]

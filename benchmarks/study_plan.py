"""What a study trains and compares, as its YAML file says it (benchmarks/study.yaml)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Strict):
    """The questions: see the comments of benchmarks/study.yaml.

    Attributes:
        formulas: calculators that are trained on.
        unseen_formulas: calculators that are held out whole.
        generated: questions of the first.
        unseen: questions of the second.
        medmcqa: rows of MedMCQA's file.
        test_share: held out of the first's and MedMCQA's questions.
        budgets: as `medu1 prepare --budget` takes them.
        prompt_tokens: longer prompts are left out.
    """

    formulas: list[str] = Field(min_length=1)
    unseen_formulas: list[str] = Field(min_length=1)
    generated: int = Field(ge=10)
    unseen: int = Field(ge=1)
    medmcqa: int = Field(ge=10)
    test_share: float = Field(gt=0, lt=1)
    budgets: list[str]
    prompt_tokens: int = Field(ge=1)


class ColdStart(_Strict):
    """Worked training questions, and further keys of `medu1 sft`."""

    demonstrations: int = Field(ge=1)
    settings: dict[str, Any]


class Cell(_Strict):
    """A way to train from the cold start: the keys that differ, and its seeds."""

    seeds: list[int] = Field(min_length=1)
    settings: dict[str, Any]


class Sampling(_Strict):
    """How questions are asked: options of `medu1 eval`."""

    samples: int = Field(ge=1)
    max_tokens: int = Field(ge=1)
    dtype: str


class Selection(_Strict):
    """Which training questions are trained on, by the cold start's pass rate: options of `medu1 select`."""

    band: str = Field(pattern=r"^[\d.]+:[\d.]+$")
    confidence: float = Field(ge=0, lt=1)
    cap: str = Field(pattern=r"^[\w-]+=\d+$")


class Study(_Strict):
    """A study: one model, one set of questions, one cold start for each seed, and cells that start from it."""

    model: str
    data: Data
    cold_start: ColdStart
    recipe: str
    settings: dict[str, Any]
    cells: dict[str, Cell] = Field(min_length=1)
    pass_rates: Sampling
    selection: Selection
    evaluation: Sampling

    @property
    def seeds(self) -> list[int]:
        """All seeds, each of which has a cold start."""
        return sorted({seed for cell in self.cells.values() for seed in cell.seeds})


def read_study(file: Path) -> Study:
    """Read a study.

    Raises:
        ValueError: the file is no YAML, or a key is missing, unknown or out of range.
    """
    try:
        return Study.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{file} can't be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ValueError(f"{file}: {key} is {first['input']!r}: {first['msg']}.") from None


def as_arguments(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as `KEY=VALUE`, in Hydra's words.

    Example:
        >>> as_arguments({"optim.lr": 1e-5, "data.limit": None})
        ['optim.lr=1e-05', 'data.limit=null']
    """
    return [f"{key}={'null' if value is None else value}" for key, value in settings.items()]


def as_options(settings: BaseModel) -> list[str]:
    """Return settings as options of a command.

    Example:
        >>> as_options(Sampling(samples=2, max_tokens=64, dtype="auto"))
        ['--samples', '2', '--max-tokens', '64', '--dtype', 'auto']
    """
    named = settings.model_dump().items()
    return [word for name, value in named for word in (f"--{name.replace('_', '-')}", str(value))]

"""Counts how often each question was answered right, in an evaluation or in the rollouts of a training.

Both are matched with the rows of a file by data source and `row_id`, and refused if a question's prompt or gold answer
is another one there: pass rates of another prompt say nothing about this one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from reward_score.multiple_choice import read_options
from reward_score.verdict import lacks_verdict
from verl_medu1.data.selected_rows import Key, Row, key_of
from verl_medu1.data.selection import PassRate
from verl_medu1.data.tracking import tracked
from verl_medu1.evaluate.orders import is_order
from verl_medu1.evaluate.questions import AS_PREPARED
from verl_medu1.run_folder.evaluations import read_evaluation, read_jsonl
from verl_medu1.run_folder.reader import read_run

# A question is a candidate for a wrong label with at least so many samples, all wrong, of which this share agrees.
FEWEST_SAMPLES, AGREED_SHARE = 4, 0.75


@dataclass
class Answers:
    """All samples of a question.

    Attributes:
        right: order of the options (`asked_as`) -> whether each sample was right.
        said: what the samples said -> how often; options by their text. Samples without an answer are not counted.
    """

    right: dict[str, list[bool]] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)

    def add(self, asked_as: str, is_right: bool, said: str) -> None:
        """Count a sample; `said` is "" if no answer was read."""
        self.right.setdefault(asked_as, []).append(is_right)
        if said:
            self.said[said] += 1

    @property
    def rate(self) -> PassRate:
        """The pass rate over all orders of the options, so that a preference for a letter does not count."""
        return PassRate(sum(map(sum, self.right.values())), sum(map(len, self.right.values())))

    @property
    def is_known(self) -> bool:
        """Whether most samples are right under most orders of the options.

        Example:
            >>> Answers({"as_prepared": [True, True], "other_order_1": [False, True], "other_order_2": [True]}).is_known
            True
        """
        orders = [2 * sum(samples) > len(samples) for samples in self.right.values()]
        return 2 * sum(orders) > len(orders)

    @property
    def is_lucky(self) -> bool:
        """Whether most samples are right as prepared, but not under most orders of the options."""
        prepared = self.right.get(AS_PREPARED, [])
        return 2 * sum(prepared) > len(prepared) and not self.is_known


@dataclass
class Counted:
    """The answers to the questions of a file, and where they come from.

    Attributes:
        answers: by question; questions without a sample are not in it.
        origin: model, settings and place, for the manifest.
        left_out: samples without a verdict of the scorer or the judge, which count neither way.
        unknown: questions that the file does not have.
    """

    answers: dict[Key, Answers]
    origin: dict[str, Any]
    left_out: int = 0
    unknown: int = 0


def from_evaluation(folder: Path, rows: Sequence[Row]) -> Counted:
    """Count the samples of an evaluation, those with other orders of the options included.

    Args:
        folder: the `--out` of `medu1 eval`.
        rows: of the file that is selected from.

    Raises:
        ValueError: there is no evaluation, or it asked other questions.
    """
    summary, samples = read_evaluation(folder)
    model = summary.get("model") or {}
    origin = {
        "evaluation": str(folder),
        "model": model.get("path"),
        "fingerprint": model.get("fingerprint"),
        "sampling": summary.get("sampling"),
        "template_arguments": summary.get("template_arguments"),
    }
    asked = [sample for sample in samples if is_order(sample["asked_as"])]
    return _count(asked, rows, f"--evaluation {folder}", origin)


def from_rollouts(run_dir: Path, rows: Sequence[Row], last_steps: int | None = None) -> Counted:
    """Count the responses that a training has sampled already. They are of a model that changed from step to step.

    Args:
        run_dir: of the training.
        rows: of the file that is selected from.
        last_steps: number of steps, from the last one back; None for all.

    Raises:
        ValueError: there are no rollouts, they lack the rows' ids, they are of other questions, or dynamic sampling
            left out the questions whose answers are all right or all wrong.
    """
    run = read_run(run_dir)
    dumps = dict(list(run.rollouts.items())[-last_steps if last_steps else None :])
    if not dumps:
        raise ValueError(
            f"--rollouts {run_dir} has no rollouts/STEP.jsonl; set trainer.rollout_data_dir in the training."
        )
    if run.config is not None and OmegaConf.select(run.config, "algorithm.filter_groups.enable"):
        raise ValueError(
            f"--rollouts {run_dir} is of a training that replaced questions whose answers all earn the same "
            "(algorithm.filter_groups), so that those it kept are no fair sample; take an --evaluation."
        )
    origin = {
        "rollouts": str(run_dir),
        "model": run.model["path"],
        "first_step": min(dumps),
        "last_step": max(dumps),
    }
    samples = (sample for file in dumps.values() for sample in read_jsonl(file))
    return _count(samples, rows, f"--rollouts {run_dir}", origin)


def _count(samples: Iterable[Mapping[str, Any]], rows: Sequence[Row], where: str, origin: dict[str, Any]) -> Counted:
    of_key = {key_of(row): row for row in rows}
    counted = Counted({}, origin)
    unknown: set[Key] = set()
    for sample in tracked(samples, "reading answers"):
        if not sample.get("row_id"):
            raise ValueError(f"{where} has answers without a row_id, by which questions are told apart; sample again.")
        if lacking := [name for name in ("data_source", "acc") if name not in sample]:
            raise ValueError(f"{where} has answers without {' and '.join(lacking)}; take a run with our scorers.")
        key = sample["data_source"], sample["row_id"]
        row = of_key.get(key)
        if row is None:
            unknown.add(key)
            continue
        asked_as = sample.get("asked_as", AS_PREPARED)
        if asked_as == AS_PREPARED:
            _check_same_question(sample, row, where)
        if sample.get("error") or lacks_verdict(sample):
            counted.left_out += 1
            continue
        counted.answers.setdefault(key, Answers()).add(asked_as, float(sample["acc"]) > 0, _said(sample, row))
    counted.unknown = len(unknown)
    if not counted.answers:
        raise ValueError(f"{where} and --data have no question with a verdict in common; evaluate --data itself.")
    return counted


def _check_same_question(sample: Mapping[str, Any], row: Row, where: str) -> None:
    """Compare prompt and gold answer; of a rollout's prompt only the text that a chat template made of it is known."""
    rendered, gold = sample.get("input"), sample.get("ground_truth", sample.get("gts"))
    is_same = (
        sample.get("prompt") == row["prompt"] if rendered is None else row["prompt"][-1]["content"].strip() in rendered
    )
    for what, same in (("prompt", is_same), ("gold answer", gold == row["reward_model"]["ground_truth"])):
        if not same:
            raise ValueError(
                f"{where} has another {what} for row {sample['row_id']!r} than --data, so its pass rates are not of "
                "these questions; evaluate --data itself."
            )


def _said(sample: Mapping[str, Any], row: Row) -> str:
    """What a sample said: the text of an option, or the answer as read."""
    options = read_options((sample.get("extra_info") or row["extra_info"]).get("options"))
    said = str(sample.get("pred") or "")
    return options.get(said, said)


def label_candidate(answers: Answers) -> tuple[str, float] | None:
    """Return the answer that a question's samples agree on although all are wrong, and the share that agrees.

    Such a question is hard, or its gold answer is wrong: somebody should look at it.

    Returns:
        None if a sample is right, there are fewer than `FEWEST_SAMPLES`, or less than `AGREED_SHARE` of all agrees.

    Example:
        >>> label_candidate(Answers({"as_prepared": [False] * 4}, Counter({"aspirin": 3, "heparin": 1})))
        ('aspirin', 0.75)
    """
    rate = answers.rate
    if rate.right or rate.samples < FEWEST_SAMPLES or not answers.said:
        return None
    said, number = answers.said.most_common(1)[0]
    share = number / rate.samples
    return (said, share) if share >= AGREED_SHARE else None

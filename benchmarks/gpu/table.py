"""The table of a run on a GPU: verl's own metrics of some steps, the planner's figure beside them."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from verl_medu1.plan.verdict import Plan
from verl_medu1.run_folder.reader import Series

# Names of verl 0.9.1 (trainer/ppo/metric_utils.py, utils/debug/metrics.py, trainer/ppo/rollout_corr_helper.py,
# workers/engine_workers.py).
TOKENS, ANSWER = "perf/total_num_tokens", "response_length/mean"
UPDATE, GENERATION = "timing_s/update_actor", "timing_s/gen"
PEAK = "actor/perf/max_memory_allocated_gb"
PLAIN = {
    "seconds of a step": "timing_s/step",
    "tokens a step": TOKENS,
    "log-probabilities again, s": "timing_s/old_log_prob",
    "weight sync, s": "timing_s/update_weights",
    "log-probability, rollout less trainer, mean": "rollout_corr/kl",
    "probability, difference, mean": "training/rollout_probs_diff_mean",
    "probability, difference, largest": "training/rollout_probs_diff_max",
}
MFU, MFU_TAG = "MFU of the update, of the BF16 peak", "perf/mfu/actor"
PEAK_MEASURED, PEAK_PREDICTED = "trainer's memory at its peak, GiB", "planned, GiB"
NONE = "-"


@dataclass
class Column:
    """One precision of the table.

    Attributes:
        name: such as "bf16".
        figures: row -> value; what is not there has no value.
        reasons: row, or step -> why it has none.
    """

    name: str
    figures: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def median(series: Series, skip: int) -> float:
    """Median of the steps after the first ones, which compile and warm up.

    Example:
        >>> median({1: 9.0, 2: 1.0, 3: 3.0}, 1)
        2.0
    """
    return statistics.median(list(series.values())[skip:])


def planned_peak(plan: Plan) -> float:
    """GiB of the trainer's process at its peak: without vLLM, which is another process, and without the reserve."""
    parts = (phase for rank in plan.ranks for phase in rank.phases.values())
    return max(sum(size for name, size in phase.items() if name not in ("vLLM", "reserve")) for phase in parts) / 2**30


def figures_of(scalars: Mapping[str, Series], answers: int, skip: int) -> dict[str, float]:
    """Rows of a run that need verl's metrics only.

    Args:
        scalars: metric -> step -> value.
        answers: of a step.
        skip: first steps that don't count.

    Example:
        >>> logged = {TOKENS: {1: 900.0}, UPDATE: {1: 3.0}, ANSWER: {1: 100.0}, GENERATION: {1: 2.0}}
        >>> figures_of(logged, 8, 0)["training, tokens/s"], figures_of(logged, 8, 0)["rollout, tokens/s"]
        (300.0, 400.0)
    """
    figures = {}
    if TOKENS in scalars and UPDATE in scalars:
        rates = {step: scalars[TOKENS][step] / seconds for step, seconds in scalars[UPDATE].items()}
        figures["training, tokens/s"] = median(rates, skip)
    if ANSWER in scalars and GENERATION in scalars:
        rates = {step: answers * scalars[ANSWER][step] / seconds for step, seconds in scalars[GENERATION].items()}
        figures["rollout, tokens/s"] = median(rates, skip)
    return figures | {row: median(scalars[tag], skip) for row, tag in PLAIN.items() if tag in scalars}


def column_of(name: str, scalars: Mapping[str, Series], plan: Plan, skip: int) -> Column:
    """All rows of a run.

    On the CPU verl's MFU and memory are left out: it divides by a peak of no processor in particular, and what it
    takes for allocated memory is the whole process with its libraries.

    Args:
        name: of the precision.
        scalars: metric -> step -> value.
        plan: of the same settings.
        skip: first steps that don't count.
    """
    settings = plan.settings
    column = Column(name, figures_of(scalars, settings.train_batch * settings.n, skip))
    column.figures[PEAK_PREDICTED] = planned_peak(plan)
    if settings.device == "cpu":
        column.reasons[MFU] = "no peak FLOP/s of this processor is known."
        column.reasons[PEAK_MEASURED] = (
            f"nothing counts allocations on the CPU; the worker's process had {median(scalars[PEAK], skip):.2f} GiB, "
            "with all its libraries."
        )
        return column
    column.figures[PEAK_MEASURED] = max(scalars[PEAK].values())
    # verl divides by infinity where it does not know a device.
    if mfu := median(scalars[MFU_TAG], skip):
        column.figures[MFU] = mfu
    else:
        column.reasons[MFU] = "verl lists no peak FLOP/s of this GPU (verl/utils/flops_counter.py)."
    return column


STACK_ROWS = ("training, tokens/s", "rollout, tokens/s", MFU, *PLAIN, PEAK_MEASURED, PEAK_PREDICTED)


def markdown(columns: Sequence[Column], rows: Sequence[str] = STACK_ROWS) -> str:
    """The table, and a sentence for each figure that is not there."""
    lines = [f"| | {' | '.join(column.name for column in columns)} |", f"|---|{'---|' * len(columns)}"]
    for row in rows:
        cells = (f"{column.figures[row]:,.4g}" if row in column.figures else NONE for column in columns)
        lines.append(f"| {row} | {' | '.join(cells)} |")
    reasons = [f"- {column.name}, {row}: {reason}" for column in columns for row, reason in column.reasons.items()]
    return "\n".join([*lines, *(["", *reasons] if reasons else [])])

"""A run's metrics as Prometheus text, served on 127.0.0.1 by its keeper (docs/metrics.md).

The numbers are those of the file that verl's file logger writes, logs/metrics.jsonl, which is read when somebody asks.
"""

import math
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from verl_medu1.run.steps import read_step
from verl_medu1.run.tail import Tail
from verl_medu1.training.mismatch import ALARM

ADDRESS = "127.0.0.1"
IDLE_S = 5.0
PREFIX = "medu1_"
# Metrics with parts that become labels -> the Prometheus name. Other names are kept, with _ for characters that
# Prometheus does not take.
LABELLED = {
    re.compile(r"reward/(?P<source>.+)/(?P<component>[^/]+)/(?P<statistic>[^/]+)"): "reward",
    re.compile(r"advantage/(?P<source>.+)/(?P<measure>[^/]+)"): "advantage",
    re.compile(r"val-(?P<part>core|aux)/(?P<source>.+)/(?P<component>[^/]+)/(?P<statistic>[^/]+)"): "validation",
    re.compile(r"timing_s/(?P<phase>.+)"): "step_phase_seconds",
    re.compile(r"timing_per_token_ms/(?P<phase>.+)"): "step_phase_milliseconds_per_token",
}
STEP = "step"
# Sums since this start of the run, which a scrape between two steps can't miss.
STEPS, TOKENS, ALARMS, PHASES, UNREADABLE = (
    "steps",
    "tokens",
    "rollout_mismatch_alarms",
    "phase_seconds",
    "unreadable_lines",
)
HELP = {
    "reward": "Reward and its components by data source, over the answers of the latest step that has any.",
    "advantage": "What the length term did, by data source.",
    "validation": "verl's validation metrics by data source.",
    "step_phase_seconds": "Seconds that a phase took in the latest step that had it; phase=step: all but validation.",
    "step_phase_milliseconds_per_token": "Milliseconds per token that a phase took.",
    STEP: "Number of the latest step in the metrics file.",
    STEPS: "Steps trained since this start of the run.",
    TOKENS: "Tokens of the prompts and answers trained on since this start of the run.",
    ALARMS: "Steps since this start of the run with an alarm, for rollout and trainer differ by too much.",
    PHASES: "Seconds spent in each phase since this start of the run; phase=step: all but validation.",
    UNREADABLE: "Lines of the metrics file that could not be read.",
}


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """Return the Prometheus name of a metric, without the prefix, and its labels.

    Example:
        >>> split_name("reward/MedQA/acc/mean")
        ('reward', {'source': 'MedQA', 'component': 'acc', 'statistic': 'mean'})
        >>> split_name("perf/mfu/actor")
        ('perf_mfu_actor', {})
    """
    for pattern, family in LABELLED.items():
        if found := pattern.fullmatch(name):
            return family, found.groupdict()
    return re.sub(r"[^a-zA-Z0-9]+", "_", name).strip("_"), {}


class RunMetrics(Collector):
    """The latest value of each metric in a file, and sums over its steps.

    Args:
        file: where verl's file logger writes.
    """

    def __init__(self, file: Path) -> None:
        self._tail, self._lock = Tail(file), threading.Lock()  # two scrapes may come at once
        self._step: int | None = None
        self._latest: dict[str, float] = {}
        self._sums: dict[str, float] = dict.fromkeys((STEPS, TOKENS, ALARMS, UNREADABLE), 0)
        self._seconds: dict[str, float] = defaultdict(float)
        # Each Prometheus name and whose it is, so that two metrics never share one; a counter's ends in _total.
        self._owners = {name: name for name in HELP} | {f"{name}_total": name for name in HELP}

    def collect(self) -> Iterator[Metric]:
        """Read what is new in the file and yield everything known, as Prometheus's library asks for it."""
        with self._lock:
            for line in self._tail.lines():
                try:
                    step, metrics = read_step(line)
                except (ValueError, KeyError, TypeError):  # such as one cut off on a disk that was full for a moment
                    self._sums[UNREADABLE] += 1
                else:
                    self._add(step, metrics)
            yield from self._families()

    def _add(self, step: int, metrics: Mapping[str, Any]) -> None:
        # verl writes null for what is not a number.
        numbers = {name: math.nan if value is None else value for name, value in metrics.items()}
        numbers = {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}
        self._step = step
        self._latest.update(numbers)
        if "training/global_step" in numbers:  # a validation before the first step has none
            self._sums[STEPS] += 1
        for name, value in numbers.items():
            if math.isnan(value):
                continue
            if name == "perf/total_num_tokens":
                self._sums[TOKENS] += value
            elif name == ALARM:
                self._sums[ALARMS] += value
            elif name.startswith("timing_s/"):
                self._seconds[name.removeprefix("timing_s/")] += value

    def _families(self) -> Iterator[Metric]:
        if self._step is not None:
            yield GaugeMetricFamily(PREFIX + STEP, HELP[STEP], value=self._step)
        for name, total in self._sums.items():
            yield CounterMetricFamily(PREFIX + name, HELP[name], value=total)
        phases = CounterMetricFamily(PREFIX + PHASES, HELP[PHASES], labels=["phase"])
        for phase, seconds in self._seconds.items():
            phases.add_metric([phase], seconds)
        yield phases
        gauges: dict[str, GaugeMetricFamily] = {}
        for name, value in self._latest.items():
            family, labels = split_name(name)
            owner = family if labels else f"{name} of the metrics file"
            while self._owners.setdefault(family, owner) != owner:
                family += "_"
            help_text = HELP[family] if labels else name
            gauge = gauges.setdefault(family, GaugeMetricFamily(PREFIX + family, help_text, labels=list(labels)))
            gauge.add_metric(list(labels.values()), value)
        yield from gauges.values()


def serve(file: Path, port: int) -> None:
    """Serve a run's metrics on 127.0.0.1 until this process ends, from a thread of its own.

    Args:
        file: where verl's file logger writes; it need not exist yet.
        port: to listen on.

    Raises:
        OSError: this process may not listen there, or another one does.
    """
    registry = CollectorRegistry()
    registry.register(RunMetrics(file))
    server, _ = start_http_server(port, ADDRESS, registry)
    # An idle connection holds a thread and a file of this process, which has others to open.
    server.RequestHandlerClass.timeout = IDLE_S  # type: ignore[attr-defined]

"""`medu1 judge`: a language model as judge of open-ended answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reward_score.judge.check_result import CheckResult, Share

app = typer.Typer(help="A language model as judge of open-ended answers.", no_args_is_help=True, add_completion=False)
ROWS = {
    "accuracy": "accuracy",
    "right answers refused": "right_refused",
    "wrong answers accepted": "wrong_accepted",
    "adversarial answers accepted": "adversarial_accepted",
}


@app.callback()
def judge() -> None:
    """A language model as judge of open-ended answers."""


@app.command()
def check(
    file: Annotated[
        str,
        typer.Argument(
            help="JSONL or parquet with data_source, question, ground_truth, answer, right [, kind, aliases]; - is "
            "JSONL on stdin."
        ),
    ],
    base_url: Annotated[str, typer.Option(help="An OpenAI-compatible endpoint.", show_default=False)],
    model: Annotated[str, typer.Option(help="Name of the model at that endpoint.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Result file.")] = Path("judge-check.json"),
    api_key_env: Annotated[str | None, typer.Option(help="Environment variable with the API key.")] = None,
    timeout_s: Annotated[float, typer.Option(help="Seconds for a question, with its retries.")] = 60,
    retries: Annotated[int, typer.Option(help="How often a failed request is repeated.")] = 2,
    concurrency: Annotated[int, typer.Option(help="Most concurrent questions.")] = 16,
    requests_per_minute: Annotated[int | None, typer.Option(help="Most questions in a minute.")] = None,
    log_probs: Annotated[bool, typer.Option(help="Ask for the log-probs of the verdict.")] = True,
    threshold: Annotated[float, typer.Option(help="Right if the probability of yes is above this.")] = 0.5,
) -> None:
    """Measure a judge on labelled answers: errors with 95 % intervals, agreement with the rules, cost."""
    from reward_score.judge import JudgeSettings
    from verl_medu1.cli.score import read_rows
    from verl_medu1.evaluate.judge_check import check as measure
    from verl_medu1.evaluate.judge_check import read_labelled, save

    settings = JudgeSettings.read(
        {
            "base_url": base_url,
            "model": model,
            "api_key_env": api_key_env,
            "timeout_s": timeout_s,
            "retries": retries,
            "concurrency": concurrency,
            "requests_per_minute": requests_per_minute,
            "log_probs": log_probs,
            "threshold": threshold,
        }
    )
    _require_openai()
    result = measure(settings, read_labelled(read_rows(file)), Path(file).name)
    save(result, out)
    _print(result)
    typer.echo(f"Result: {out}")


def _require_openai() -> None:
    from importlib.util import find_spec

    if find_spec("openai") is None:
        raise ValueError("the package openai is missing; `pip install verl-medu1[judge]`")


def _print(result: "CheckResult") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("%", "rules", "judge", "together", title=f"{result.model} on {result.data}, 95 % Wilson intervals")
    for name, key in ROWS.items():
        table.add_row(name, *(_in_words(getattr(who, key)) for who in (result.rules, result.judge, result.together)))
    console, cost = Console(), result.cost
    console.print(table)
    console.print(f"rules and judge agree: {_in_words(result.agreement)}")
    failed = ", ".join(f"{kind}: {number}" for kind, number in result.failures.items()) or "none"
    console.print(f"questions without a verdict: {failed}")
    console.print(
        f"{cost.questions} questions, {cost.requests} requests, {cost.prompt_tokens:,} prompt and "
        f"{cost.completion_tokens:,} completion tokens, {cost.seconds:.1f} s"
    )


def _in_words(share: "Share | None") -> str:
    if share is None:
        return "-"
    return f"{100 * share.value:.1f} ({100 * share.low:.1f}-{100 * share.high:.1f}) of {share.number}"

"""The `medu1` command: one typer app, one module per subcommand."""

from collections.abc import Callable

import typer

from verl_medu1.cli import (
    compare,
    doctor,
    evaluate,
    export,
    index,
    judge,
    merge,
    model,
    pipeline,
    plan,
    prepare,
    quickstart,
    rehearse,
    report,
    score,
    select,
    slurm,
    status,
    train,
    validate,
)
from verl_medu1.exit import in_one_sentence

app = typer.Typer(
    help="Train, score and evaluate medical reasoning models (research only; not medical advice).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "quickstart": quickstart.quickstart,
    "prepare": prepare.prepare,
    "validate": validate.validate,
    "score": score.score,
    "eval": evaluate.evaluate,
    "compare": compare.compare,
    "select": select.select,
    "report": report.report,
    "export": export.export,
    "merge": merge.merge,
    "plan": plan.plan,
    "rehearse": rehearse.rehearse,
    "slurm": slurm.slurm,
    "pipeline": pipeline.pipeline,
    "status": status.status,
    "doctor": doctor.doctor,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(model.app, name="model")
app.add_typer(judge.app, name="judge")
app.add_typer(index.app, name="index")
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
HYDRAS = "recipe=NAME key=value ..."
app.command("train", context_settings=PASS_THROUGH, options_metavar=HYDRAS)(train.train)
app.command("sft", context_settings=PASS_THROUGH, options_metavar=HYDRAS)(train.sft)


def main() -> None:
    """Run the command line; a user's mistake becomes one line on stderr and exit code 2."""
    with in_one_sentence():
        app()


if __name__ == "__main__":
    main()

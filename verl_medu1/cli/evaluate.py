"""`medu1 eval`: evaluate a model on prepared questions."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder in Hugging Face's format, run_dir or checkpoint of a training, or name on the hub; "
            "with --endpoint the name there."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Parquet file of prepared questions (from `medu1 prepare`).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; an interrupted evaluation in it is continued.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Responses per question.")] = 1,
    temperature: Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="Maximum response length in tokens.")] = 128,
    seed: Annotated[int, typer.Option(help="Seed for sampling.")] = 0,
    batch: Annotated[int, typer.Option(help="Number of responses generated at the same time.")] = 256,
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16; auto is float32 on a CPU, the checkpoint's own on a GPU.")
    ] = "auto",
    tensor_parallel_size: Annotated[
        int, typer.Option(help="Tensor-parallel size of vLLM: the number of GPUs that share the model.")
    ] = 1,
    formats: Annotated[
        bool,
        typer.Option("--formats", help="Also ask multiple-choice questions for a short answer and for a ranked list."),
    ] = False,
    orders: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Also ask multiple-choice questions with their options in other orders, N orders in all.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="For --formats and --orders: the prompt file that was given to `medu1 prepare --prompts`."),
    ] = None,
    template_argument: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Chat-template setting, such as enable_thinking=false; default: those of the model's run.",
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Evaluate the model behind this OpenAI-compatible URL, such as http://127.0.0.1:8000/v1.",
        ),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the environment variable with the API key for --endpoint."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with scoring.judge, such as a run's config.yaml: the judge of open-ended answers; none is "
            "rules alone; default: that of the model's run.",
        ),
    ] = None,
    episodes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with episodes, such as a run's config.yaml: the environment of responses of several turns; "
            "none is one turn; default: that of the model's run.",
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Compare the result with this earlier evaluation (its --out).")
    ] = None,
) -> None:
    """Evaluate a model: accuracy with a 95 % interval, pass@k, majority vote, format, length and budget."""
    options = {"model": model, "data": data, "out": out}
    if model is None or data is None or out is None:
        missing = [f"--{name}" for name, value in options.items() if value is None]
        raise ValueError(f"{', '.join(missing)} is missing; give --model, --data and --out.")
    if prompts is not None and not formats and orders is None:
        raise ValueError(f"--prompts {prompts} is for --formats and --orders; add one, or leave it out.")
    if api_key_env is not None and endpoint is None:
        raise ValueError(f"--api-key-env {api_key_env} is for --endpoint; add that, or leave it out.")

    from rich.console import Console

    from verl_medu1.cli.compare import comparison
    from verl_medu1.evaluate.evaluation import judge_of, prepare_answerer, run_evaluation
    from verl_medu1.evaluate.judging import describe
    from verl_medu1.evaluate.questions import read_questions
    from verl_medu1.evaluate.sampling import Sampling
    from verl_medu1.evaluate.summary import judged_differently
    from verl_medu1.evaluate.tables import all_tables
    from verl_medu1.models.chat_template import parse_arguments
    from verl_medu1.run_folder.evaluations import read_evaluation

    sampling = Sampling(samples, temperature, max_tokens, seed, batch, dtype, tensor_parallel_size)
    questions = read_questions(data)
    if formats or orders is not None:
        from verl_medu1.data.prompts import DEFAULT_FILE, load_prompts
        from verl_medu1.evaluate.formats import in_other_formats
        from verl_medu1.evaluate.orders import in_other_orders

        texts = load_prompts(prompts or DEFAULT_FILE)
        others = in_other_formats(questions, texts) if formats else []
        others += in_other_orders(questions, texts, orders, seed) if orders is not None else []
        questions = [*questions, *others]
    # Report a broken one now, not after the evaluation.
    earlier = None if against is None else read_evaluation(against)[0]
    arguments = None if template_argument is None else parse_arguments(template_argument)
    answerer = prepare_answerer(model, endpoint, api_key_env, questions, arguments, episodes)
    settings = judge_of(judge, answerer, questions, str(data))
    if earlier is not None and (sentence := judged_differently(earlier, {"judge": describe(settings)})):
        raise ValueError(f"--against {against} can't be compared with this evaluation: {sentence}")
    for table in all_tables(run_evaluation(answerer, questions, out, sampling, str(data), settings)):
        Console().print(table)
    if against is not None:
        Console().print(comparison(against, out, "answer_type"))

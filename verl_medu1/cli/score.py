"""`medu1 score`: scores responses in a file and shows the result by data source."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from reward_score.item_results import ItemResult
    from reward_score.verdict import Verdict

COMPONENTS = ("score", "acc", "format", "similarity", "error")


def score(
    file: Annotated[
        str,
        typer.Argument(
            help="JSONL or parquet with data_source, response, ground_truth [, extra_info, counted_tokens], such as "
            "the samples.jsonl of `medu1 eval`; - is JSONL on stdin."
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per row instead of the table.")
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="ROW", help="Explain the score of one row, given by row_id or by its position, counted from 0."
        ),
    ] = None,
    scheme: Annotated[str, typer.Option(help="Reward scheme: how a verdict becomes a score.")] = "gated_binary",
    judge: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with scoring.judge, such as a run's config.yaml: the judge of open-ended answers.",
        ),
    ] = None,
) -> None:
    """Score responses: a table by data source and component, or JSONL."""
    from reward_score.schemes import find_scheme

    find_scheme(scheme)
    rows = read_rows(file)
    if explain is not None:
        [(index, row, result)] = _scored([_find_row(rows, explain, file)], scheme, judge)
        _print_explanation(index, row, result)
    elif as_json:
        for index, row, result in _scored(rows, scheme, judge):
            print(json.dumps({"row": row_id(index, row), **result}))
    else:
        _print_table([{**result, "source": _group(row)} for _, row, result in _scored(rows, scheme, judge)])


def read_rows(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Reads the rows of a JSONL or parquet file, or of JSONL on standard input (`-`), with their position.

    Raises:
        ValueError: The file is missing, is of neither kind, or a row can't be read.
    """
    path = Path(file)
    if file == "-":
        yield from _read_jsonl(sys.stdin.buffer, "standard input")
    elif not path.is_file():
        raise ValueError(f"FILE {file!r} does not exist: give a JSONL or parquet file")
    elif path.suffix == ".parquet":
        yield from _read_parquet(path)
    elif path.suffix in (".jsonl", ".ndjson"):
        with path.open("rb") as lines:
            yield from _read_jsonl(lines, file)
    else:
        raise ValueError(f"FILE {file!r} must end in .jsonl or .parquet")


def row_gold(index: int, row: Mapping[str, Any]) -> Any:
    """The gold answer: column `ground_truth`, or `reward_model.ground_truth` as verl has it."""
    if "ground_truth" in row:
        return row["ground_truth"]
    reward_model = row.get("reward_model")
    if isinstance(reward_model, Mapping) and "ground_truth" in reward_model:
        return reward_model["ground_truth"]
    raise ValueError(
        f"row {index} has no column 'ground_truth' (nor reward_model.ground_truth): it has {', '.join(row)}"
    )


def row_column(index: int, row: Mapping[str, Any], name: str) -> Any:
    """The value of a column that every row must have."""
    if name not in row:
        raise ValueError(f"row {index} has no column {name!r}: it has {', '.join(row)}")
    return row[name]


def row_id(index: int, row: Mapping[str, Any]) -> str:
    """The id in extra_info, else the position in the file."""
    info = row.get("extra_info")
    stated = info.get("row_id") if isinstance(info, Mapping) else None
    return str(index if stated is None else stated)


def _read_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        index = 0
        for batch in pq.ParquetFile(path).iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                yield index, row
                index += 1
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"FILE {str(path)!r} is not a readable parquet file: {str(error).splitlines()[0]}") from None


def _read_jsonl(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    index = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: not JSON in UTF-8 ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{name}, line {number}: must be an object with named columns, not {type(row).__name__}")
        yield index, row
        index += 1


def _scored(
    rows: Iterable[tuple[int, dict[str, Any]]], scheme: str, judge: Path | None
) -> Iterator[tuple[int, dict[str, Any], Mapping[str, Any]]]:
    """The rows with their scores; without a judge one after the other, as they are read."""
    from reward_score import compute_score
    from verl_medu1.evaluate.judging import NONE, judge_for, require_judge, score_all

    if judge is None or str(judge) == NONE:
        for index, row in rows:
            call = _call(index, row, scheme)
            require_judge([call["extra_info"]], f"row {index} of FILE")
            yield index, row, compute_score(**call)
        return
    rows = list(rows)
    calls = [_call(index, row, scheme) for index, row in rows]
    settings = judge_for(str(judge), None, {str(call["data_source"]) for call in calls})
    for (index, row), result in zip(rows, score_all(calls, settings), strict=True):
        yield index, row, result


def _call(index: int, row: Mapping[str, Any], scheme: str) -> dict[str, Any]:
    """The arguments of `compute_score` for a row."""
    from reward_score.reader import FACTS
    from verl_medu1.evaluate.questions import AS_PREPARED

    source, response = row_column(index, row, "data_source"), row_column(index, row, "response")
    gold, info = row_gold(index, row), row.get("extra_info")
    if isinstance(row.get(FACTS), str):  # of several turns, as `medu1 eval` writes them
        info = {**(info or {}), FACTS: json.loads(row[FACTS])}
    num_tokens = row.get("counted_tokens")
    mode = info.get("budget_mode") if isinstance(info, Mapping) else None
    if scheme == "release" and mode in ("exact", "max") and num_tokens is None:
        raise ValueError(
            f"row {index} has a budget (extra_info.budget_mode is {mode!r}) and no column 'counted_tokens', its "
            "tokens, which --scheme release needs: add it, or choose another scheme"
        )
    opinion = _opinion(index, row, gold) if row.get("asked_as", AS_PREPARED) != AS_PREPARED else None
    return {
        "data_source": source,
        "solution_str": response,
        "ground_truth": gold,
        "extra_info": info,
        "scheme": scheme,
        "num_tokens": num_tokens,
        "opinion": opinion,
    }


def _opinion(index: int, row: Mapping[str, Any], gold: Any) -> "Verdict | None":
    """The verdict on a sample of `medu1 eval --formats` in another format, which no scorer of a data source knows."""
    from reward_score.multiple_choice import read_options
    from verl_medu1.evaluate.questions import Question
    from verl_medu1.evaluate.scoring import opinion_on

    asked_as, info = row["asked_as"], row.get("extra_info")
    if not isinstance(info, Mapping) or str(gold) not in read_options(info.get("options")):
        raise ValueError(
            f"row {index} was asked as {asked_as!r} and has no extra_info.options with its gold answer: run "
            "`medu1 eval` again, which writes them and asks nothing twice"
        )
    return opinion_on(Question("", row["data_source"], [], gold, dict(info), asked_as), str(row["response"]))


def _group(row: Mapping[str, Any]) -> str:
    """The line of the table that a row counts in: its data source, and another format than the prepared one apart."""
    from verl_medu1.evaluate.questions import AS_PREPARED

    asked_as = row.get("asked_as", AS_PREPARED)
    return str(row["data_source"]) + ("" if asked_as == AS_PREPARED else f" as {asked_as}")


def _find_row(rows: Iterable[tuple[int, dict[str, Any]]], wanted: str, file: str) -> tuple[int, dict[str, Any]]:
    for index, row in rows:
        if wanted in (str(index), row_id(index, row)):
            return index, row
    raise ValueError(f"--explain {wanted!r}: no row of {file} has that row_id or position")


def _print_explanation(index: int, row: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from reward_score import parse_response
    from reward_score.item_results import read_items
    from reward_score.verdict import lacks_verdict

    response = parse_response(str(row["response"]))
    table = Table("row", row_id(index, row), title="What was read, and why it was judged so")
    answer = "(none)" if response.answer is None else response.answer
    for name, value in {
        "data source": row["data_source"],
        "reasoning": f"{len(response.reasoning.split())} words",
        "answer": answer,
        "form": "well-formed" if response.well_formed else response.problem,
        "gold": row_gold(index, row),
        "read as": result["pred"],
        "reason": result["reason"],
        **({"items": "\n".join(map(_in_words, items))} if (items := read_items(result["checklist_items"])) else {}),
        **{name: "left out" if lacks_verdict(result) else f"{result[name]:g}" for name in COMPONENTS},
    }.items():
        table.add_row(name, Text(str(value)))
    Console().print(table)


def _in_words(item: "ItemResult") -> str:
    return f"{'yes' if item.true else 'no'}{' (must not)' if item.must_not else ''}: {item.statement}"


def _print_table(results: list[dict[str, Any]]) -> None:
    """Print the table; what has no verdict is in no mean, and counted below it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from reward_score.verdict import lacks_verdict

    if not results:
        raise ValueError("FILE has no rows")
    number, results = len(results), [result for result in results if not lacks_verdict(result)]
    table = Table("data source", "rows", *COMPONENTS)
    sources = sorted({result["source"] for result in results})
    groups = {source: [result for result in results if result["source"] == source] for source in sources}
    for source, group in {**groups, "all": results}.items() if len(sources) > 1 else groups.items():
        means = [f"{sum(result[name] for result in group) / len(group):.3f}" for name in COMPONENTS]
        table.add_row(Text(source), str(len(group)), *means)
    Console().print(table)
    if number > len(results):
        print(f"left out: {number - len(results)} answers without a verdict of the judge or a reply of the reader")

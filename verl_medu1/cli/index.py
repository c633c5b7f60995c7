"""`medu1 index`: a corpus of documents that a model can search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from verl_medu1.retrieval.build import Built
    from verl_medu1.retrieval.contained import QuestionFinder

app = typer.Typer(help="A corpus of documents that a model can search.", no_args_is_help=True, add_completion=False)
# Documents with a question of a benchmark that are named in the terminal.
MOST_NAMED = 20


@app.command()
def build(
    corpus: Annotated[
        list[Path],
        typer.Argument(
            metavar="CORPUS...",
            help="Files of documents: .jsonl, .jsonl.gz, .json (one record a line) or .parquet, with id or _id, title, "
            "and text, content or contents.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to; it must not exist.", show_default=False)],
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Prepared file, NAME=FILE or NAME=hub:SPLIT, repeatable: report documents in which its questions "
            "stand.",
        ),
    ] = None,
) -> None:
    """Build a BM25 index of a corpus."""
    from verl_medu1.data.benchmark import read_benchmark
    from verl_medu1.models.whole_folder import require_new
    from verl_medu1.retrieval.build import build_index
    from verl_medu1.retrieval.contained import QuestionFinder
    from verl_medu1.retrieval.documents import check_files

    check_files(corpus)
    require_new(out)
    examples = [example for given in against or () for example in read_benchmark(given, option="--against").examples]
    finder = QuestionFinder(examples) if against else None
    built = build_index(corpus, out, finder)
    _show(built)
    if finder:
        _tell_found(finder, out)
    typer.echo(f"Index: {out}")


@app.command()
def search(
    folder: Annotated[Path, typer.Argument(help="Folder of `medu1 index build`.", show_default=False)],
    query: Annotated[str, typer.Argument(help="What to search for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, help="Most documents to show.")] = 3,
) -> None:
    """Show the documents that a query finds, the best one first, as a model reads them."""
    from verl_medu1.retrieval.index import LocalIndex
    from verl_medu1.rollout.observation import harmless

    found = LocalIndex(folder).search(query, k)
    for document in found:
        typer.echo(harmless(f"[{document.id}] {document.title}\n{document.text}\n", ()))
    if not found:
        typer.echo("No document has a word of the query.", err=True)


def _show(built: "Built") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "number", "first in")
    table.add_row("documents", f"{built.facts.documents:,}")
    for reason, number in built.rows.broken.most_common():
        table.add_row(f"left out: {reason}", f"{number:,}", escape(built.rows.first[reason]))
    table.add_row("different words", f"{built.words:,}")
    table.add_row("size, MB", f"{sum(built.facts.files.values()) / 1e6:,.1f}")
    Console().print(table)


def _tell_found(finder: "QuestionFinder", out: Path) -> None:
    from verl_medu1.retrieval.build import FOUND

    documents = list(dict.fromkeys(one.document for one in finder.found))
    questions = {(one.data_source, one.row_id) for one in finder.found}
    typer.echo(f"{len(documents)} documents contain {len(questions)} of {len(finder.examples)} questions.")
    if documents:
        more = ", ..." if len(documents) > MOST_NAMED else ""
        typer.echo(f"{', '.join(documents[:MOST_NAMED])}{more}; all are in {out / FOUND}")
    if finder.too_short:
        typer.echo(f"{finder.too_short} questions have too few words to be looked for.", err=True)

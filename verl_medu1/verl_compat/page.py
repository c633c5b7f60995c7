"""Makes docs/verl-compat.md from the table: `python -m verl_medu1.verl_compat --page`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from verl_medu1.verl_compat.overrides import overridden
from verl_medu1.verl_compat.table import EXTENDED, TAKEN, Entry
from verl_medu1.verl_compat.versions import REQUIRED_VERL

OURS = Path(__file__).parents[1]


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (
        "# What we take from verl that is not public",
        "",
        "This is the page to open when verl moves on. It is made from `verl_medu1/verl_compat/table.py` by",
        "`python -m verl_medu1.verl_compat --page`, and a test compares the two.",
        "",
        f"The package extends verl {REQUIRED_VERL} and refuses another. Each entry is looked for in the installed",
        "packages before a training and in `medu1 doctor`. `make test-verl VERL=<checkout>` looks in a newer verl and",
        "says what it breaks. The last column names the test that fails when an entry changes its meaning but not its",
        "name.",
        "",
        "## Classes that we extend",
        "",
        "| ours | file of verl | overridden | why | test |",
        "|---|---|---|---|---|",
    )
    for each in EXTENDED:
        methods = ", ".join(f"`{method.name}`" for method in overridden(OURS / each.ours))
        files = ", ".join(f"`{file}`" for file in each.files)
        yield f"| `{each.ours}` | {files} | {methods} | {each.why} | `{each.test}` |"
    yield from ("", "## Taken everywhere", "", *_table(entry for entry in TAKEN if not entry.cpu_only))
    yield from ("", "## Taken without an accelerator", "", *_table(entry for entry in TAKEN if entry.cpu_only))


def _table(entries: Iterable[Entry]) -> Iterator[str]:
    yield from ("| package | file | symbol | ours | why | test |", "|---|---|---|---|---|---|")
    for entry in entries:
        yield (
            f"| {entry.package} | `{entry.file}` | `{entry.symbol}` | `{entry.ours}` | {entry.why} | `{entry.test}` |"
        )

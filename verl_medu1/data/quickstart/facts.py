"""Multiple choice and open-ended questions of the quickstart, from a table of medical facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

LETTERS = "ABCD"


@dataclass(frozen=True)
class Relation:
    """One kind of fact; see facts.yaml."""

    topic: str
    kind: str
    asks: tuple[str, ...]
    link: str
    pairs: Mapping[str, str]

    def fact(self, subject: str) -> str:
        """The fact about a subject as a clause."""
        return self.link.format(subject=subject, object=self.pairs[subject])


@cache
def relations() -> dict[str, Relation]:
    """The table of facts.

    Example:
        >>> relations()["sign"].fact("Koplik spots")
        'measles shows Koplik spots'
    """
    text = resources.files(__package__).joinpath("facts.yaml").read_text(encoding="utf-8")
    return {
        name: Relation(table["topic"], table["kind"], tuple(table["asks"]), table["link"], table["pairs"])
        for name, table in yaml.safe_load(text).items()
    }

"""What other packages add to this one, by entry points.

medu1.scorers   answer types and data sources of reward_score (reward_score/registry.py)
medu1.sources   sources of `medu1 prepare`: NAME = "module:OBJECT", a Reader or a Generator
medu1.recipes   recipes: NAME = "module", a package whose folders are recipes
medu1.environments  what a model talks to in several turns: NAME = "module:CLASS" (environments/environment.py)
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

SOURCES, RECIPES, ENVIRONMENTS = "medu1.sources", "medu1.recipes", "medu1.environments"


def added(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, without importing anything.

    Raises:
        ValueError: two packages add the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry_point in entry_points(group=group):
        if found.get(entry_point.name, entry_point).value != entry_point.value:
            raise ValueError(
                f"two packages add {entry_point.name!r} to {group} ({found[entry_point.name].value} and "
                f"{entry_point.value}); uninstall one."
            )
        found[entry_point.name] = entry_point
    return found


def load(entry_point: EntryPoint) -> Any:
    """Import the object that an entry point names.

    Raises:
        ValueError: it can't be imported, whatever its module raises.
    """
    try:
        return entry_point.load()
    except Exception as error:  # a third-party module may raise anything
        raise ValueError(
            f"entry point {entry_point.name!r} of {entry_point.group} ({entry_point.value}) can't be loaded "
            f"({error}); fix or uninstall its package."
        ) from error

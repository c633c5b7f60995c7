"""Questions that may be written, and which of them are held out where a source has no test set of its own."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import compress

from verl_medu1.data.budget import Budget
from verl_medu1.data.duplicates import Sketched
from verl_medu1.data.example import Example


@dataclass(frozen=True)
class Candidate:
    """A question that may be written, with its example prepared for comparison (None for generated ones)."""

    example: Example
    budget: Budget
    sketched: Sketched | None


def hold_out(
    candidates: Sequence[Candidate], test_share: float, held: Set[str]
) -> tuple[list[Candidate], list[Candidate]]:
    """Split into training and test rows: whole groups are held out until they reach `test_share` of all rows.

    A group of more rows than that stays. At least the smallest is held out, provided another is left to train on. If
    some rows (`held`, by `row_id`) belong to their benchmark's test set, the test rows are exactly these.
    """
    if held:
        chosen = [candidate.example.row_id in held for candidate in candidates]
        rest = [candidate for candidate, is_held in zip(candidates, chosen, strict=True) if not is_held]
        return rest, list(compress(candidates, chosen))
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.example.group or candidate.example.row_id, []).append(candidate)
    wanted = max(round(test_share * len(candidates)), int(test_share > 0 and len(groups) > 1))
    train: list[Candidate] = []
    test: list[Candidate] = []
    smallest = min(groups.values(), key=len, default=[])
    fits = len(smallest) <= wanted
    for members in groups.values():
        is_held = len(test) < wanted and (len(members) <= wanted if fits else members is smallest)
        (test if is_held else train).extend(members)
    return train, test

"""Examinations: the model orders one in a turn, reads its result, and ends with an answer, such as a diagnosis."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from reward_score.must_ask import UNASKED
from reward_score.response import ANSWER_OPEN, THINK_CLOSE
from verl_medu1.data.actions import ORDER_CLOSE, ORDER_OPEN
from verl_medu1.data.catalogue import EXAMINATIONS, Examination, read_catalogue
from verl_medu1.environments.environment import Session
from verl_medu1.environments.must_ask import MustAsk

_ORDER = re.compile(f"{ORDER_OPEN}(.*?){ORDER_CLOSE}", re.DOTALL)
NEITHER, NO_SUCH = "Order one examination, or give the answer.", "There is no such examination."
NOT_AVAILABLE = "not available"
# Key of the facts: the sum of the prices of what was done.
COST = "examination_cost"


class Examinations:
    """The environment `examinations`.

    A row's `extra_info.environment` is JSON with `examinations` (`verl_medu1.data.catalogue`), which its prompt lists,
    and may have `must_ask` (`MustAsk`), which names examinations.

    Settings: `silent`, for controls: no result is available.
    """

    last_turn = "No more examinations: give the answer."
    address = None

    def __init__(self, settings: Mapping[str, Any]) -> None:
        if unknown := sorted(settings.keys() - {"silent"}):
            raise ValueError(f"episodes.settings has {unknown[0]!r}; the environment examinations has silent alone.")
        self.silent = settings.get("silent", False)
        if not isinstance(self.silent, bool):
            raise ValueError(f"episodes.settings.silent is {self.silent!r}; it must be true or false.")

    def start(self, row: Mapping[str, Any]) -> "Workup":
        """Begin with a patient on whom nothing was done.

        Raises:
            ValueError: the row has no catalogue, or its `must_ask` has a mistake.
        """
        extra_info = row["extra_info"]
        try:
            case = json.loads(extra_info.get("environment") or "{}")
            catalogue = read_catalogue(case.get(EXAMINATIONS))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"row {extra_info.get('row_id')!r} has no catalogue in extra_info.environment ({error}); give JSON "
                'with examinations, such as {"examinations": {"CRP": {"price": 5, "result": "high"}}}'
            ) from None
        return Workup(catalogue, MustAsk(row, {"findings": catalogue, "must_ask": case.get("must_ask")}), self.silent)


class Workup(Session):
    """The examinations of one patient. An answer ends them; what is no order is answered with a hint."""

    def __init__(self, catalogue: Mapping[str, Examination], must_ask: MustAsk, silent: bool) -> None:
        self._catalogue, self._must_ask, self._silent = catalogue, must_ask, silent
        self.calls = self.invalid = self.failed = 0
        # In order; what was done is not done again, and costs once.
        self._done: dict[str, Examination] = {}

    async def step(self, text: str) -> str | None:
        """Return the result of the examination that the turn orders after its reasoning."""
        said = text.rpartition(THINK_CLOSE)[2]
        if ANSWER_OPEN in said:
            return None
        orders = [order.strip() for order in _ORDER.findall(said)]
        if len(orders) != 1 or not orders[0]:
            self.invalid += 1
            return NEITHER
        examination = self._catalogue.get(orders[0].casefold())
        if examination is None:
            self.invalid += 1
            return NO_SUCH
        self.calls += 1
        self._done[examination.name] = examination
        return f"{examination.name}: {NOT_AVAILABLE if self._silent else examination.result}"

    def told(self, reply: str) -> str:
        """Return the examination with its result, which is the same whenever it is ordered."""
        return "" if self._silent else reply

    def facts(self) -> Mapping[str, Any]:
        """Return what was done, in order, and what it cost; for a row with `must_ask` also `unasked`."""
        unasked = {UNASKED: self._must_ask.unasked(list(self._done))} if self._must_ask else {}
        # As decimals: 0.1 + 0.2 costs as much as 0.3, where a penalty looks for the cheapest response of a group.
        cost = float(sum(Decimal(repr(one.price)) for one in self._done.values()))
        return {"done": list(self._done), COST: cost, **unasked}

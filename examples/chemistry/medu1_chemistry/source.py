"""Combustion of organic compounds: C, H and O in any numbers burn to carbon dioxide and water."""

import random
from collections.abc import Iterator
from math import gcd

from verl_medu1.data.example import Example
from verl_medu1.data.sources.reader import Generator


def draw(number: int, seed: int) -> Iterator[Example]:
    """For CcHhOo the coefficients are as 4 : 4c + h - 2o : 4c : 2h."""
    rng = random.Random(seed)
    for place in range(number):
        c = rng.randint(1, 30)
        h, o = 2 * rng.randint(1, c + 1), rng.randint(0, min(6, 2 * c))
        fuel = "".join(f"{atom}{n if n > 1 else ''}" for atom, n in (("C", c), ("H", h), ("O", o)) if n)
        numbers = (4, 4 * c + h - 2 * o, 4 * c, 2 * h)
        written = [f"{n // gcd(*numbers)}" if n > gcd(*numbers) else "" for n in numbers]
        gold = "{}{} + {}O2 -> {}CO2 + {}H2O".format(written[0], fuel, *written[1:])
        question = f"Balance the combustion {fuel} + O2 -> CO2 + H2O"
        yield Example("combustion", f"combustion/{place}", "chemical_equation", question, gold)


COMBUSTION = Generator("Apache-2.0", draw)

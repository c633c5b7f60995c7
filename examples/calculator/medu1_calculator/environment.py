"""The environment: a turn with `<calc>70 / 1.75 ** 2</calc>` after its reasoning is told the value."""

import ast
import operator
import re
from collections.abc import Mapping
from typing import Any

from verl_medu1.environments.environment import Session

CALC = re.compile(r"<calc>(.{1,200}?)</calc>", re.DOTALL)
# Of decimal numbers, whose powers overflow at once instead of growing for minutes.
OF_TWO = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Pow: pow}


def value(node: ast.expr) -> float:
    """Compute numbers, + - * / ** and brackets, and nothing else."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in OF_TWO:
        return float(OF_TWO[type(node.op)](value(node.left), value(node.right)))
    raise ValueError("not a calculation")


class Calculation(Session):
    """One conversation. An answer ends it."""

    def __init__(self) -> None:
        self.calls = self.invalid = self.failed = 0

    async def step(self, text: str) -> str | None:
        said = text.rpartition("</think>")[2]
        if "<answer>" in said:
            return None
        found = CALC.findall(said)
        try:
            (calculation,) = found
            result = f"{value(ast.parse(calculation.strip(), mode='eval').body):.6g}"
        except (ValueError, SyntaxError, TypeError, ArithmeticError):
            self.invalid += 1
            return "Write one calculation with numbers, or the answer."
        self.calls += 1
        return result

    def told(self, reply: str) -> str:
        return ""  # nothing that the model could not have written itself

    def facts(self) -> Mapping[str, Any]:
        return {}


class Calculator:
    """What conversations share: nothing."""

    last_turn, address = "This is your last turn: answer now.", None

    def __init__(self, settings: Mapping[str, Any]) -> None:
        if settings:
            raise ValueError("episodes.settings is for other environments; the calculator has none.")

    def start(self, row: Mapping[str, Any]) -> Calculation:
        return Calculation()

"""Valid sizes, and the nearest of them, for the sentences of the rules."""

from collections.abc import Iterable
from math import isqrt

from verl_medu1.plan.architecture import Architecture


def nearest(valid: Iterable[int], value: int, count: int = 3) -> str:
    """List the valid values nearest to a value, in ascending order.

    Example:
        >>> nearest([1, 2, 4, 7, 14, 28], 8)
        '2, 4, 7'
    """
    return ", ".join(map(str, sorted(sorted(valid, key=lambda number: (abs(number - value), number))[:count])))


def divisors(number: int) -> list[int]:
    """Return all divisors of a number.

    Example:
        >>> divisors(12)
        [1, 2, 3, 4, 6, 12]
    """
    small = [size for size in range(1, isqrt(number) + 1) if number % size == 0]
    return sorted({*small, *(number // size for size in small)})


def tensor_sizes(model: Architecture) -> list[int]:
    """Return the tensor parallel sizes that divide the heads, and divide the groups or are multiples of them.

    Source: megatron/core/transformer/transformer_config.py (num_query_groups); vLLM's models require the same.

    Example:
        >>> from verl_medu1.plan.architecture import find_architecture
        >>> tensor_sizes(find_architecture("Qwen2.5-7B-Instruct"))
        [1, 2, 4, 28]
    """
    sizes = divisors(model.heads)
    return [size for size in sizes if model.groups % size == 0 or size % model.groups == 0]

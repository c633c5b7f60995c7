"""Patches of verl_medu1.cpu that change how fast something is: what it gives stays the same."""

import torch

import verl_medu1.plugin  # noqa: F401  (sets the patches)


def _nested(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def test_rows_of_a_nested_tensor() -> None:
    rows = [torch.arange(length) for length in (3, 1, 0, 7)]
    nested = _nested(rows)
    for number, row in enumerate(rows):
        assert torch.equal(nested[number], row)
    assert torch.equal(nested[-1], rows[-1])
    matrices = [torch.arange(2 * length).view(length, 2) for length in (3, 5)]
    assert torch.equal(_nested(matrices)[1], matrices[1])


def test_gradients_of_a_row_of_a_nested_tensor() -> None:
    rows = [torch.ones(length, requires_grad=True) for length in (2, 3)]
    _nested(rows)[1].sum().backward()
    assert rows[1].grad is not None and torch.equal(rows[1].grad, torch.ones(3))
    assert rows[0].grad is None or torch.equal(rows[0].grad, torch.zeros(2))


def test_agent_loops_are_made_from_their_name_or_by_hydra() -> None:
    from verl.experimental.agent_loop import agent_loop

    instantiate = agent_loop.hydra.utils.instantiate
    name = {"_target_": "verl.experimental.agent_loop.agent_loop.ToolListWrap"}
    tools = [object()]
    made = instantiate(name, tools=tools)
    assert isinstance(made, agent_loop.ToolListWrap) and made.tools is tools
    assert instantiate(name | {"tools": [3]}).tools == [3]
    # As in a list of agent loops; hydra, too, hands the name over.
    called = instantiate({"_target_": "types.SimpleNamespace", "name": "a"}, tools=tools)
    assert (called.name, called.tools) == ("a", tools)

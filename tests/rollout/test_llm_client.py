"""Which server a request goes to, where one process sends all of them."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from verl.workers.rollout.llm_server import LLMServerClient, LLMServerManager

from verl_medu1.rollout.llm_client import SoleClient, client_of

SERVERS = {"a:1": "first", "b:1": "second"}


def manager_of(**settings: Any) -> LLMServerManager:
    """A manager of two servers, as it is once they run."""
    rollout = {"agent": {"num_workers": 1}, "router_config_path": None, "full_determinism": False}
    manager = object.__new__(LLMServerManager)
    manager.config = DictConfig({})
    manager.rollout_config = OmegaConf.create(rollout | settings)
    manager.server_addresses, manager.server_handles = list(SERVERS), list(SERVERS.values())
    manager.global_load_balancer = None
    return manager


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, SoleClient),
        ({"agent": {"num_workers": 2}}, LLMServerClient),
        ({"router_config_path": "router.yaml"}, LLMServerClient),
        ({"full_determinism": True}, LLMServerClient),
    ],
)
def test_who_is_alone_and_has_no_router_chooses_itself(settings: dict[str, Any], expected: type) -> None:
    assert type(client_of(manager_of(**settings))) is expected


def test_each_turn_of_an_episode_goes_to_the_same_server_and_new_ones_to_the_idler_one() -> None:
    client = client_of(manager_of())

    async def ask(request: str) -> str:
        address, handle = await client._acquire_server(request, prompt_ids=[1, 2])
        assert handle == SERVERS[address]
        return address

    async def rollout() -> None:
        first = {request: await ask(request) for request in "abcdef"}
        assert Counter(first.values()) == dict.fromkeys(SERVERS, 3)
        for request, address in first.items():
            client._release_server(address, request)
            assert await ask(request) == address
        # One server is idle: all new requests go there.
        idle = first["a"]
        for request in [request for request, address in first.items() if address == idle]:
            client._release_server(idle, request)
        assert [await ask(request) for request in "xyz"] == [idle] * 3

    asyncio.run(rollout())

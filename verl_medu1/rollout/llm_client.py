"""The client of vLLM's servers where one process sends all requests."""

from typing import Any, override

from omegaconf import DictConfig
from verl.workers.rollout.llm_server import LLMServerClient, LLMServerManager
from verl.workers.rollout.router import GlobalRequestLoadBalancer


class SoleClient(LLMServerClient):
    """verl's client, which chooses the server of a request itself.

    verl's own asks another process for the server of each turn, and tells it when the turn is over, so that several
    agent loop workers share the servers evenly. A single one knows all turns: here verl's load balancer is in its own
    process, and makes the same choices with a third of the calls between processes.
    """

    def __init__(self, config: DictConfig, load_balancer_handle: Any, servers: dict[str, Any]) -> None:
        super().__init__(config, load_balancer_handle)
        self._balancer = GlobalRequestLoadBalancer(servers)

    @override
    async def _acquire_server(self, request_id: str, **_: Any) -> tuple[str, Any]:
        return self._balancer.acquire_server(request_id)

    @override
    def _release_server(self, server_id: str, request_id: str | None = None) -> None:
        self._balancer.release_server(server_id, request_id)


def client_of(manager: LLMServerManager) -> LLMServerClient:
    """Return the client for the agent loop workers: a `SoleClient` for one of them, unless a router is configured."""
    rollout = manager.rollout_config
    if rollout.agent.num_workers > 1 or rollout.router_config_path or rollout.full_determinism:
        return manager.get_client()
    servers = dict(zip(manager.server_addresses, manager.server_handles, strict=True))
    return manager.get_client(SoleClient, servers=servers)

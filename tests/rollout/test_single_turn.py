"""Answers with seeds of their own: found by verl, different for each answer, handed to the engine."""

import asyncio
from itertools import product
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from vllm.sampling_params import RequestOutputKind, SamplingParams

from verl_medu1.rollout.sampling import turn_seed
from verl_medu1.rollout.single_turn import SeededSingleTurnAgentLoop


@given(st.tuples(*[st.integers(0, 2**40)] * 4))
def test_a_seed_is_what_vllm_takes_and_the_same_again(place):
    assert 0 <= turn_seed(*place) < 2**31 and turn_seed(*place) == turn_seed(*place)


def test_each_answer_of_a_run_has_its_own():
    places = list(product((0, 1), range(5), range(20), range(8)))
    assert len({turn_seed(*place) for place in places}) == len(places)


def test_verl_makes_it_by_its_name(configure, monkeypatch):
    import hydra
    from verl.experimental.agent_loop import agent_loop

    ran = []

    async def run(self, sampling_params, **kwargs):
        ran.append(type(self))

    async def postprocess(self, output, validate, **kwargs):
        return output

    monkeypatch.setattr(SeededSingleTurnAgentLoop, "run", run)
    monkeypatch.setattr(agent_loop.AgentLoopWorker, "_agent_loop_postprocess", postprocess)
    config = configure("actor_rollout_ref.rollout.agent.default_agent_loop=medu1_seeded")
    worker = agent_loop.AgentLoopWorker(config, llm_client=None)
    name = config.actor_rollout_ref.rollout.agent.default_agent_loop
    trajectory = {"step": 0, "sample_index": 0, "rollout_n": 0, "validate": False}
    asyncio.run(worker._run_agent_loop({}, trajectory, agent_name=name))
    monkeypatch.setattr(agent_loop, "hydra", hydra)  # as it is with an accelerator (verl_medu1/cpu/patches.py)
    asyncio.run(worker._run_agent_loop({}, trajectory, agent_name=name))
    assert ran == [SeededSingleTurnAgentLoop] * 2


def test_the_seed_goes_to_the_engine_and_the_rest_stays(monkeypatch):
    seen = {}

    async def run(self, sampling_params, priority=0, **kwargs):
        seen.update(sampling_params=sampling_params, priority=priority, **kwargs)

    monkeypatch.setattr(SingleTurnAgentLoop, "run", run)
    loop = SeededSingleTurnAgentLoop.__new__(SeededSingleTurnAgentLoop)
    scoring = SimpleNamespace(perception=SimpleNamespace(weight=None))
    loop.config = SimpleNamespace(data=SimpleNamespace(seed=5), scoring=scoring)
    asyncio.run(loop.run({"temperature": 1.0}, 3, global_steps=2, index=7, session_id=1, raw_prompt="?"))
    # vLLM takes them as they are, and hands over nothing before the answer's end.
    taken = SamplingParams(**seen["sampling_params"])
    assert (taken.temperature, taken.seed) == (1.0, turn_seed(5, 2, 7, 1))
    assert taken.output_kind is RequestOutputKind.FINAL_ONLY and not taken.detokenize
    assert (seen["priority"], seen["raw_prompt"]) == (3, "?")

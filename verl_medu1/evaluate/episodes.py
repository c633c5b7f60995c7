"""Responses of several turns: all episodes of a portion take a turn at the same time, then all environments reply."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from verl_medu1.environments.environment import Environment, make_environment
from verl_medu1.evaluate.questions import Question
from verl_medu1.evaluate.sampling import Request, Sampling, seed_of
from verl_medu1.evaluate.scoring import Response
from verl_medu1.length.budget import counted_tokens
from verl_medu1.rollout.components import episode_components
from verl_medu1.rollout.episode import Episode, Limits
from verl_medu1.rollout.failed_calls import FailedCalls
from verl_medu1.rollout.names import EPISODE_LOOP, OUT_OF_ROOM
from verl_medu1.rollout.sampling import turn_seed
from verl_medu1.run_folder.configuration import read_configuration

# The value of --episodes for responses of one turn.
NONE = "none"
KEYS = ("environment", "settings", "max_turns", "max_turn_tokens", "max_observation_tokens", "max_failed_share")
LOOP = "actor_rollout_ref.rollout.agent.default_agent_loop"


def episodes_for(given: str | None, run: Path | None) -> dict[str, Any] | None:
    """Return the `episodes` that `--episodes` names, or else those of the model's run; None for responses of one turn.

    Args:
        given: value of `--episodes`: a file, "none", or None for those of the run.
        run: config.yaml of the run; None for a model outside of a run.

    Raises:
        ValueError: the file can't be read, or has no such settings.
    """
    if given == NONE or (given is None and run is None):
        return None
    file = Path(given).expanduser() if given else run
    assert file is not None
    config = read_configuration(file)
    if given is None and OmegaConf.select(config, LOOP) != EPISODE_LOOP:
        return None
    found = OmegaConf.select(config, "episodes")
    episodes: Any = OmegaConf.to_container(found, resolve=True) if OmegaConf.is_dict(found) else {}
    if lacks := [key for key in KEYS if episodes.get(key) is None]:
        raise ValueError(f"--episodes {file} has no episodes.{lacks[0]}; give a YAML file such as a run's config.yaml.")
    return dict(episodes)


class Several:
    """Samples responses of several turns with vLLM's engine.

    Args:
        episodes: `episodes` of a configuration.
        sampling: sampling settings; `max_tokens` is for all turns and replies together.
        tokenizer: of the model.
        model: folder in Hugging Face format, or name on the hub.
        template_arguments: arguments of the chat template.

    Raises:
        ValueError: the environment refuses its settings.
    """

    def __init__(
        self,
        episodes: Mapping[str, Any],
        sampling: Sampling,
        tokenizer: Any,
        model: str,
        template_arguments: Mapping[str, Any],
    ) -> None:
        from transformers import AutoConfig
        from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

        self._tokenizer, self._sampling = tokenizer, sampling
        self._builder = create_continuous_token_builder(
            tokenizer,
            # By it verl knows where turns end.
            hf_model_type=AutoConfig.from_pretrained(model).model_type,
            chat_template_kwargs=dict(template_arguments),
        )
        self._environment: Environment = make_environment(episodes["environment"], episodes["settings"])
        self._limits = Limits.read(episodes, sampling.max_tokens, self._environment.last_turn)
        self._failed_calls = FailedCalls(episodes["max_failed_share"])
        # One event loop for all turns: an environment's connections belong to it.
        self._runner = asyncio.Runner()

    def responses(
        self, engine: Any, pairs: Sequence[tuple[Request, Sequence[int]]]
    ) -> list[tuple[Request, list[Response]]]:
        """Return requests with their responses.

        Args:
            engine: vLLM's engine.
            pairs: requests, each with the tokens of its prompt.

        Raises:
            ValueError: the environment failed in too many of its latest calls.
        """
        held = [[self._begin(request.question, prompt) for _ in range(request.number)] for request, prompt in pairs]
        # Each with the seed of its sample.
        going = [
            (episode, seed_of(request.question, self._sampling.seed) + request.first + number)
            for (request, _), episodes in zip(pairs, held, strict=True)
            for number, episode in enumerate(episodes)
        ]
        while going:
            goes_on = self._runner.run(self._take_turns(engine, going))
            going = [pair for pair, another in zip(going, goes_on, strict=True) if another]
        try:
            self._failed_calls.add([episode_components(episode.record()) for episodes in held for episode in episodes])
        except RuntimeError as error:
            raise ValueError(str(error)) from None
        return [
            (request, [self._response(episode, request.question) for episode in episodes])
            for (request, _), episodes in zip(pairs, held, strict=True)
        ]

    def _begin(self, question: Question, prompt: Sequence[int]) -> Episode:
        row = {
            "data_source": question.data_source,
            "raw_prompt": question.prompt,
            "extra_info": question.extra_info,
        }
        session = self._environment.start(row)
        return Episode(self._builder, self._tokenizer, question.prompt, prompt, session, self._limits)

    async def _take_turns(self, engine: Any, going: Sequence[tuple[Episode, int]]) -> list[bool]:
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt

        parameters = [
            SamplingParams(
                **self._sampling.distribution,
                max_tokens=episode.room,
                seed=turn_seed(self._sampling.seed, 0, seed, 0, len(episode.spans)),
            )
            for episode, seed in going
        ]
        inputs = [TokensPrompt(prompt_token_ids=episode.ids) for episode, _ in going]
        outputs = engine.generate(inputs, parameters, use_tqdm=False)
        return await asyncio.gather(
            *(
                episode.proceed(list(output.outputs[0].token_ids))
                for (episode, _), output in zip(going, outputs, strict=True)
            )
        )

    def _response(self, episode: Episode, question: Question) -> Response:
        tokens = episode.ids[len(episode.ids) - len(episode.mask) :]
        turns = [tokens[start:end] for start, end in episode.spans]
        counted = (counted_tokens(turn, question.budget_counts, self._tokenizer.decode) for turn in turns)
        return Response(
            text=episode.said[-1][1],
            length=sum(map(len, turns)),
            counted_tokens=sum(counted),
            truncated=episode.ended == OUT_OF_ROOM,
            episode=episode.record(),
        )

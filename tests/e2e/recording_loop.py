"""The agent loop of several turns, which also writes down the tokens of each episode, for test_episodes_training.py."""

import json
import os
from pathlib import Path
from typing import Any, override

from verl.experimental.agent_loop.agent_loop import AgentLoopOutput

from verl_medu1.rollout.several_turns import EpisodeAgentLoop

RECORDS = "tokens"


class RecordingLoop(EpisodeAgentLoop):
    @override
    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        output = await super().run(sampling_params, **row)
        record = {
            "prompt": [dict(message) for message in row["raw_prompt"]],
            "prompt_ids": output.prompt_ids,
            "response_ids": output.response_ids,
            "mask": output.response_mask,
            "episode": output.extra_fields["episode"],
        }
        folder = Path(self.config.run_dir) / RECORDS
        folder.mkdir(exist_ok=True)
        with (folder / f"{os.getpid()}.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        return output

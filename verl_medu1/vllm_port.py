"""vLLM general plugin, loaded by vLLM in each of its processes: where it looks for free ports."""

import os
import random
from pathlib import Path

# Ray's workers listen below (10002 to 19999 by default).
LOWEST = 20000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def choose() -> None:
    """Let this process look for free ports outside the range from which the kernel serves everybody else.

    vLLM's engine picks a free port, and its worker listens on it seconds later (vllm 0.27,
    vllm/v1/executor/multiproc_executor.py:128). In between the kernel gives a port of its own range to another process
    of the start once in a dozen starts, and the run ends with EADDRINUSE. `VLLM_PORT` is where vLLM's search begins;
    each process begins elsewhere. A value that the user has set stays.
    """
    if "VLLM_PORT" not in os.environ and EPHEMERAL_RANGE.exists():
        highest = int(EPHEMERAL_RANGE.read_text().split()[0])
        if highest > LOWEST:
            os.environ["VLLM_PORT"] = str(random.SystemRandom().randrange(LOWEST, highest))

"""Waits until all nodes of a job have joined its Ray cluster, then watches them until one is lost.

python -m verl_medu1.cluster.ray_watch --attempt FOLDER --hosts node1 node2 --timeout 600      (RAY_ADDRESS says where)
"""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from verl_medu1.exit import ExitCode


def short(host: str) -> str:
    """Return a host's name without its domain."""
    return host.partition(".")[0]


def absent(nodes: Iterable[Mapping[str, Any]], hosts: Iterable[str]) -> list[str]:
    """Return the hosts that have no live Ray node.

    Args:
        nodes: what `ray.nodes()` returns; each node was started under its name in Slurm.
        hosts: names of hosts, with or without their domain.

    Example:
        >>> absent([{"Alive": True, "NodeName": "a.cluster"}], ["a", "b"])
        ['b']
    """
    alive = {short(node["NodeName"]) for node in nodes if node["Alive"]}
    return [host for host in hosts if short(host) not in alive]


def watch(attempt: Path, hosts: list[str], timeout_s: float, interval_s: float = 1.0) -> str:
    """Block until a host is missing; create `attempt/complete` once all have joined.

    Returns:
        One sentence that names the missing hosts.
    """
    import ray

    ray.init(logging_level="ERROR", log_to_driver=False)
    deadline = time.monotonic() + timeout_s
    while missing := absent(ray.nodes(), hosts):
        if time.monotonic() > deadline:
            return f"after {timeout_s:.0f} s Ray has not heard of {', '.join(missing)}"
        time.sleep(interval_s)
    (attempt / "complete").touch()
    while not (missing := absent(ray.nodes(), hosts)):
        time.sleep(interval_s)
    # If only Ray has ended on a host, the host reports its own reason first.
    time.sleep(3 * interval_s)
    return f"Ray has lost {', '.join(missing)}"


def main() -> None:
    """Watch, then write the sentence to `attempt/watch` and exit with code 70."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--attempt", type=Path, required=True, help="folder of the attempt, seen by all nodes")
    parser.add_argument("--hosts", nargs="+", required=True, help="names of the job's nodes")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds until all must be there")
    arguments = parser.parse_args()
    sentence = watch(arguments.attempt, arguments.hosts, arguments.timeout)
    (arguments.attempt / "watch").write_text(sentence)
    print(sentence, file=sys.stderr)
    sys.exit(ExitCode.LOST)


if __name__ == "__main__":
    main()

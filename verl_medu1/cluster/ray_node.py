"""Starts Ray on one node of a job, with its workers forked from one process if the configuration asks for that.

python -m verl_medu1.cluster.ray_node [--fork-with JSON] --block OPTION...      (options of `ray start`)
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from verl_medu1.cpu.faster.forking import SECOND_JOB, fork_workers


def main() -> None:
    """Start the fork server, then Ray; end with it."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0], allow_abbrev=False)
    parser.add_argument("--fork-with", type=json.loads, metavar="JSON", help="environment variables of forked workers")
    arguments, options = parser.parse_known_args()
    if arguments.fork_with is not None:
        # The driver is the second job: ray_watch is the first.
        fork_workers(arguments.fork_with, Path(tempfile.gettempdir()), job=SECOND_JOB)
    from ray.scripts import scripts

    sys.argv = ["ray", "start", *options]
    scripts.main()


if __name__ == "__main__":
    main()

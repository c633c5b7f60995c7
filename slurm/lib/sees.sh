#!/usr/bin/env bash
# Print this node's name if a file can't be seen on it; a network disk gets 15 seconds to show it.
set -euo pipefail

if [[ ${1:-} == --help || $# != 1 ]]; then
    echo "usage: sees.sh FILE   run on each node of a job by job.sh"
    [[ ${1:-} == --help ]] && exit 0 || exit 2
fi

# shellcheck source=slurm/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for _ in {1..15}; do
    ! is_there "$1" || exit 0
    sleep 1
done
echo "$SLURMD_NODENAME"

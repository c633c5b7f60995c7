#!/usr/bin/env bash
# A virtual node from inside: its name, its own scratch folder, shared memory and hosts file, and slurmd.
set -euo pipefail

if [[ ${1:-} == --help || $# -ne 4 ]]; then
    echo "usage: node.sh NAME FOLDER SCRATCH SLURM_CONF   (run by cluster.py inside new namespaces)"
    exit 0
fi
name=$1 folder=$2 scratch=$3 conf=$4

hostname "$name"
mount --make-rprivate /
mount --bind "$folder/hosts" /etc/hosts
mount --bind "$folder/nodes/$name/scratch" "$scratch"
mount -t tmpfs -o size=4g shm /dev/shm
# slurmd is not process 1 of the namespace: that one has to outlive it, and to collect what it leaves.
slurmd -D -N "$name" -f "$conf" &
trap 'kill -TERM %1' TERM
wait %1 || wait %1

#!/usr/bin/env bash
# One node of a training job, run by srun on each node: collects facts for the preflight, then joins the job's own Ray
# cluster. The first node also starts the driver and ends with its exit code. No command of Slurm is called here,
# because this may run in a container.
set -euo pipefail

if [[ ${1:-} == --help || -z ${SLURM_PROCID:-} || -z ${MEDU1_ATTEMPT_DIR:-} ]]; then
    echo "usage: node.sh [HYDRA OVERRIDES]   run by job.sh through srun, with its environment; see job.sh --help"
    [[ ${1:-} == --help ]] && exit 0 || exit 2
fi

# shellcheck source=slurm/lib/common.sh
source "$MEDU1_SLURM_DIR/lib/common.sh"
# shellcheck source=slurm/lib/network.sh
source "$MEDU1_SLURM_DIR/lib/network.sh"
# shellcheck source=slurm/lib/cleanup.sh
source "$MEDU1_SLURM_DIR/lib/cleanup.sh"
# shellcheck source=slurm/lib/ray.sh
source "$MEDU1_SLURM_DIR/lib/ray.sh"
# shellcheck source=slurm/lib/judge.sh
source "$MEDU1_SLURM_DIR/lib/judge.sh"

# A stage of a pipeline other than `medu1 train`: a command on the job's only node, without Ray.
run_command() {
    say "command: $MEDU1_COMMAND $*"
    "$MEDU1_PYTHON" -m verl_medu1.run.pipeline "$MEDU1_COMMAND" "$@" >"$MEDU1_ATTEMPT_DIR/driver.log" 2>&1 &
    driver_pid=$!
    wait "$driver_pid" && code=0 || code=$?
    driver_pid=""
    echo "$code" >"$MEDU1_ATTEMPT_DIR/exit_code" || true
    exit "$code"
}

# One function, because bash reads a script while running it, and this one may run for days.
main() {
    host=${SLURMD_NODENAME:-$(hostname -s)}
    node_dir=$MEDU1_NODE_DIR_PREFIX${SLURM_RESTART_COUNT:-0}
    preflight_dir=$MEDU1_ATTEMPT_DIR/preflight
    # Tells the other nodes the first node's address and the options of Ray. It appears when the preflight has passed.
    # No srun --kill-on-bad-exit: it would kill the other nodes at once, before they can clean up.
    cluster_file=$MEDU1_ATTEMPT_DIR/cluster
    ended_file=$MEDU1_ATTEMPT_DIR/ended

    ray_pid="" driver_pid="" watch_pid="" judge_pid=""
    trap clean_up EXIT
    trap 'exit 143' TERM INT
    make_node_dir
    "$MEDU1_PYTHON" -c "import psutil, verl_medu1" ||
        fail "$EXIT_MISTAKE" "$host: MEDU1_PYTHON is $MEDU1_PYTHON, which can't be run there or lacks a package; see node-$host.log"
    find_network
    # Slurm may set AMD's variable as well as NVIDIA's, and verl refuses the two together.
    [[ -z ${CUDA_VISIBLE_DEVICES:-} ]] || unset ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES GPU_DEVICE_ORDINAL
    hard=$(ulimit -Hn)
    ulimit -Sn "$([[ $hard == unlimited || $hard -gt 65535 ]] && echo 65535 || echo "$hard")"

    if [[ -n ${MEDU1_COMMAND:-} ]]; then
        run_command "$@"
    fi

    start_judge
    set -- "$@" ${judge_overrides[@]+"${judge_overrides[@]}"}

    "$MEDU1_PYTHON" -m verl_medu1.cluster.preflight facts --out "$preflight_dir" --interface "$MEDU1_INTERFACE" \
        --shared "$MEDU1_RUN_DIR" --scratch "$MEDU1_SCRATCH" ||
        fail "$EXIT_MISTAKE" "$host: the preflight can't be run with $MEDU1_PYTHON; see node-$host.log"

    # ---------------------------------------------------------------- the other nodes
    if [[ $SLURM_PROCID != 0 ]]; then
        wait_until "$MEDU1_NODE_TIMEOUT_S" is_there "$cluster_file" ||
            fail "$EXIT_LOST" "$host waited ${MEDU1_NODE_TIMEOUT_S} s for the first node"
        start_ray_worker
        while :; do
            check_cluster
            pause
        done
    fi

    # ---------------------------------------------------------------- the first node
    wait_until "$MEDU1_NODE_TIMEOUT_S" all_have_reported ||
        fail "$EXIT_LOST" "after ${MEDU1_NODE_TIMEOUT_S} s nothing is heard of $(who_is_missing)"
    "$MEDU1_PYTHON" -m verl_medu1.cluster.preflight judge --facts "$preflight_dir" --nodes "$SLURM_NNODES" "$@" \
        >"$MEDU1_ATTEMPT_DIR/preflight.log" 2>&1 ||
        fail "$EXIT_MISTAKE" "preflight: $(tail -n 1 "$MEDU1_ATTEMPT_DIR/preflight.log")"
    start_ray_head "$@"
    watch_nodes
    wait_until "$MEDU1_NODE_TIMEOUT_S" is_there "$MEDU1_ATTEMPT_DIR/complete" ||
        fail "$EXIT_LOST" "the Ray cluster did not come together in ${MEDU1_NODE_TIMEOUT_S} s; see node-$host.log"

    driver=(-m verl_medu1.cli.app train)
    [[ -z ${MEDU1_DRIVER:-} ]] || driver=("$MEDU1_DRIVER")
    say "driver: ${driver[*]} $* run_dir=$MEDU1_RUN_DIR"
    # Quoted for Hydra: a folder's name may have characters that are special to it.
    RAY_ADDRESS=$ray_address "$MEDU1_PYTHON" "${driver[@]}" "$@" "run_dir='$MEDU1_RUN_DIR'" \
        >"$MEDU1_ATTEMPT_DIR/driver.log" 2>&1 &
    driver_pid=$!
    while kill -0 "$driver_pid" 2>/dev/null; do
        check_cluster
        pause
    done
    wait "$driver_pid" && code=0 || code=$?
    driver_pid=""
    say "the driver ended with exit code $code"
    if (( code != 0 && code != EXIT_STOPPED )); then
        # The driver may notice a dead worker before the worker's node has reported why it died.
        for _ in 1 2 3; do
            check_cluster
            pause
        done
    fi
    echo "$code" >"$MEDU1_ATTEMPT_DIR/exit_code" || true
    exit "$code"
}
main "$@"

#!/usr/bin/env bash
# One attempt of a training job, inside its allocation: prepares what all nodes share, runs node.sh on each node with
# one srun, and records how the attempt ended. Only this script calls Slurm's commands; node.sh may run in a container.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: bash job.sh [HYDRA OVERRIDES]        run by train.sbatch or a rendered job file, in a Slurm allocation

What the environment may set:
  MEDU1_SLURM_DIR        folder of this file                              (where it lies)
  MEDU1_RUN_DIR          folder of the run, seen by all nodes             (outputs/<job name>-<job id>)
  MEDU1_PYTHON           interpreter    (.venv/bin/python beside slurm/, else python3; in a container python3)
  MEDU1_CONTAINER        none, apptainer or pyxis                         (none)
  MEDU1_IMAGE            image of the container
  MEDU1_MOUNTS           folders to mount, separated by commas
  MEDU1_FORWARD          variables that win over the image's under pyxis, separated by commas, besides those of MEDU1, Ray,
                         Hugging Face, NCCL and gloo
  MEDU1_MODULES          environment modules to load, separated by spaces
  MEDU1_INTERFACE        network interface between the nodes              (that of the host name's address)
  MEDU1_SCRATCH          short folder on each node's own disk             (/tmp)
  MEDU1_COMMAND          command that the only node runs in place of `medu1 train`, without Ray: sft, export or merge
  MEDU1_DRIVER           Python file that is run in place of `medu1 train`, with its arguments and RAY_ADDRESS
  MEDU1_JUDGE_MODEL      model that judges open-ended answers, served by vLLM on each node (docs/judge.md)
  MEDU1_JUDGE_GPUS       GPUs of each node for the judge, which the training then does not have     (1)
  MEDU1_JUDGE_OPTIONS    options of its `vllm serve`, separated by spaces
  MEDU1_JUDGE_TIMEOUT_S  seconds until the judge must answer              (1800)
  MEDU1_OFFLINE          1: Hugging Face libraries stay off the network
  MEDU1_MAX_REQUEUES     how often the job may be queued again            (20)
  MEDU1_NODE_TIMEOUT_S   seconds that the nodes may take to come together (600)

SIGUSR1 makes the trainer finish its step, save and stop; the job is queued again and resumes. The run's folder has
attempts/<NNN>/ with attempt.json, driver.log and node-<host>.log of each attempt.
TEXT
}
if [[ ${1:-} == --help || -z ${SLURM_JOB_ID:-} ]]; then
    usage
    [[ ${1:-} == --help ]] && exit 0 || exit 2
fi
MEDU1_SLURM_DIR=${MEDU1_SLURM_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)}
# shellcheck source=slurm/lib/common.sh
source "$MEDU1_SLURM_DIR/lib/common.sh"
# shellcheck source=slurm/lib/allocation.sh
source "$MEDU1_SLURM_DIR/lib/allocation.sh"
# shellcheck source=slurm/lib/environment.sh
source "$MEDU1_SLURM_DIR/lib/environment.sh"
# shellcheck source=slurm/lib/attempt.sh
source "$MEDU1_SLURM_DIR/lib/attempt.sh"
# shellcheck source=slurm/lib/container.sh
source "$MEDU1_SLURM_DIR/lib/container.sh"

# One function, because bash reads a script while running it, and this one may run for days.
main() {
    read_allocation
    if is_heterogeneous; then
        echo "the job is heterogeneous, which is not supported; submit one without ':'" >&2
        exit "$EXIT_MISTAKE"
    fi
    forget_outer_job
    set_defaults "$@"
    begin_attempt
    trap end_attempt EXIT
    load_modules
    (( requeue_count <= MEDU1_MAX_REQUEUES )) ||
        fail "$EXIT_GIVEN_UP" "the job was queued again $requeue_count times, MEDU1_MAX_REQUEUES is $MEDU1_MAX_REQUEUES"
    make_token
    check_run_dir

    # A request from an earlier attempt that ended before it could stop.
    rm -f "$MEDU1_RUN_DIR/stop_requested"
    trap on_warning USR1
    # Slurm also signals the nodes when the job is cancelled; this script stays to record how the attempt ended.
    terminated=
    trap 'terminated=1' TERM

    # ---------------------------------------------------------------- all nodes, until the first one ends
    step=(srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --mpi=none
          --kill-on-bad-exit=0 --wait=60 --export=ALL --output="$MEDU1_ATTEMPT_DIR/node-%N.log")
    # Let the task and all its processes use all of the job's processors on a node.
    step+=(--cpu-bind=none)
    in_container step bash "$MEDU1_SLURM_DIR/node.sh" "$@"
    # The nodes' output is in their own files.
    "${step[@]}" 2>"$MEDU1_ATTEMPT_DIR/srun.log" &
    step_pid=$!
    # Once the first node has ended, the others have this long to clean up; srun itself would wait for a dead node.
    patience_s=30 lost=""
    while kill -0 "$step_pid" 2>/dev/null; do
        pause
        [[ -z ${stop_at:-} ]] || (( $(date +%s) < stop_at )) || request_stop
        [[ -e $MEDU1_ATTEMPT_DIR/ended ]] || continue
        case $((patience_s--)) in
        0)
            lost=$(lost_nodes)
            # Signals the nodes, not this script; srun would send KILL.
            scancel --signal=TERM "$SLURM_JOB_ID" || true
            ;;
        -15) kill -KILL "$step_pid" 2>/dev/null || true ;;
        esac
    done
    wait "$step_pid" && code=0 || code=$?
    cat "$MEDU1_ATTEMPT_DIR/srun.log" >&2
    # srun's exit code is the highest of all nodes'. Better is the code of the first failure, and best the driver's.
    for file in reason_code exit_code; do
        [[ ! -s $MEDU1_ATTEMPT_DIR/$file ]] || code=$(<"$MEDU1_ATTEMPT_DIR/$file")
    done

    # ---------------------------------------------------------------- queue again, or end with the driver's exit code
    [[ $code == 0 || $lost ]] || lost=$(lost_nodes)
    if [[ $code == "$EXIT_STOPPED" ]]; then
        reason="stopped on request after a checkpoint"
    elif [[ $code != 0 && $lost ]]; then
        reason="lost ${lost//,/ and }: $(first_reason "$code")"
        [[ $terminated ]] || code=$EXIT_LOST
    else
        reason=$(first_reason "$code")
        [[ $code == 0 || $terminated ]] || show_end_of_driver_log
        exit "$code"
    fi
    if (( requeue_count >= MEDU1_MAX_REQUEUES )); then
        reason="$reason; not queued again, MEDU1_MAX_REQUEUES is $MEDU1_MAX_REQUEUES"
        exit "$code"
    fi
    # Slurm may end this script as soon as the job is queued again.
    record_end "$code"
    queue_again "$lost"
    exit "$code"
}
main "$@"

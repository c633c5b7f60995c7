# shellcheck shell=bash disable=SC2154  # variables of the script that sources this
# job.sh: the settings with their defaults, exported once; srun passes them to the nodes, and Ray to its workers.

set_defaults() {
    local argument here folder last=-1
    here=$(dirname "$MEDU1_SLURM_DIR")
    MEDU1_RUN_DIR=${MEDU1_RUN_DIR:-outputs/$SLURM_JOB_NAME-$SLURM_JOB_ID}
    for argument in "$@"; do
        [[ $argument != run_dir=* ]] || MEDU1_RUN_DIR=${argument#run_dir=}
    done
    # Strip quotes as Hydra does.
    [[ ! $MEDU1_RUN_DIR =~ ^(\'(.*)\'|\"(.*)\")$ ]] || MEDU1_RUN_DIR=${BASH_REMATCH[2]}${BASH_REMATCH[3]}
    [[ $MEDU1_RUN_DIR != *[\'\"\\]* ]] || {
        say "run_dir is $MEDU1_RUN_DIR, which has a quote or a backslash; choose another folder"
        exit "$EXIT_MISTAKE"
    }
    [[ $MEDU1_RUN_DIR == /* ]] || MEDU1_RUN_DIR=$SLURM_SUBMIT_DIR/$MEDU1_RUN_DIR
    MEDU1_CONTAINER=${MEDU1_CONTAINER:-none}
    if [[ -z ${MEDU1_PYTHON:-} ]]; then
        MEDU1_PYTHON=python3
        [[ $MEDU1_CONTAINER != none || ! -x $here/.venv/bin/python ]] || MEDU1_PYTHON=$here/.venv/bin/python
    fi
    MEDU1_MODULES=${MEDU1_MODULES:-}
    MEDU1_SCRATCH=${MEDU1_SCRATCH:-/tmp}
    MEDU1_MAX_REQUEUES=${MEDU1_MAX_REQUEUES:-20}
    MEDU1_NODE_TIMEOUT_S=${MEDU1_NODE_TIMEOUT_S:-600}
    # Numbers continue over all jobs of the run, which may be submitted several times, even if older folders are gone.
    for folder in "$MEDU1_RUN_DIR"/attempts/[0-9][0-9][0-9]*/; do
        folder=$(basename "$folder")
        [[ $folder == *[^0-9]* ]] || last=$((10#$folder > last ? 10#$folder : last))
    done
    MEDU1_ATTEMPT_DIR=$MEDU1_RUN_DIR/attempts/$(printf %03d $((last + 1)))
    # One block of ports per job, below the kernel's ephemeral range, and the same on each node. Two jobs share a block
    # if their numbers differ by a multiple of 1000.
    MEDU1_PORT_BASE=$((10000 + SLURM_JOB_ID % 1000 * 10))
    MEDU1_HOSTS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | paste -sd ' ')
    # Short: Ray puts sockets into it, and the path of a socket has at most 107 characters.
    MEDU1_NODE_DIR_PREFIX=$MEDU1_SCRATCH/medu1-$SLURM_JOB_ID.
    export MEDU1_SLURM_DIR MEDU1_RUN_DIR MEDU1_CONTAINER MEDU1_PYTHON MEDU1_SCRATCH MEDU1_NODE_TIMEOUT_S
    export MEDU1_ATTEMPT_DIR MEDU1_PORT_BASE MEDU1_HOSTS MEDU1_NODE_DIR_PREFIX
    [[ -z ${MEDU1_INTERFACE:-} ]] || export MEDU1_INTERFACE
    if [[ ${MEDU1_OFFLINE:-0} == 1 ]]; then
        export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 HF_DATASETS_OFFLINE=1
    fi
    # The token keeps others on the network out of this job's Ray cluster.
    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$MEDU1_ATTEMPT_DIR/ray_token
    # By default Ray waits 30 s for its tasks when told to end, which is as long as Slurm waits before it kills.
    export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
    # Metrics would be served to anybody, without the token; -1 is not a port, so the head node does not serve them.
    export RAY_USAGE_STATS_ENABLED=0 RAY_enable_metrics_collection=false DASHBOARD_METRIC_PORT=-1
    unset RAY_ADDRESS
}

load_modules() {
    [[ $MEDU1_MODULES ]] || return 0
    local file
    set +eu # the functions of module systems work with neither
    if ! type module >/dev/null 2>&1; then
        for file in /etc/profile.d/{modules,lmod,z00_lmod}.sh "${MODULESHOME:-/usr/share/modules}/init/bash"; do
            # shellcheck disable=SC1090
            [[ -r $file ]] && source "$file" && break
        done
    fi
    # shellcheck disable=SC2086  # names, separated by spaces
    module load $MEDU1_MODULES
    local code=$?
    set -eu
    (( code == 0 )) ||
        fail "$EXIT_MISTAKE" "MEDU1_MODULES is '$MEDU1_MODULES', and \`module load\` failed; \`module avail\` lists them"
}

make_token() {
    (umask 077 && head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH")
}

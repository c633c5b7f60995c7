# shellcheck shell=bash disable=SC2034,SC2154  # variables of, or used by, the script that sources this
# job.sh: what Slurm says of this job. The environment says less surely: sbatch hands on that of the job in which it was
# called, if there was one.

# A time limit up to this many seconds is short beside the warning that train.sbatch asks for, which is half of it.
readonly SHORT_LIMIT_S=1800

read_allocation() {
    # A heterogeneous job has several records, the first of which is this component's.
    job_record=$(scontrol show job --oneliner "$SLURM_JOB_ID" | head -n 1) || job_record=""
    requeue_count=$(of_job Restarts)
    export SLURM_RESTART_COUNT=${requeue_count:=0}
    started_at=$(date --date "$(of_job StartTime)" +%s 2>/dev/null) || started_at=0
    ends_at=$(date --date "$(of_job EndTime)" +%s 2>/dev/null) || ends_at=0
}

# The value of a field; the job's name, which may look like one, comes before all that are asked for.
of_job() {
    local fields=" ${job_record#* JobState=}"
    [[ $fields != *" $1="* ]] || { fields=${fields#*" $1="} && echo "${fields%% *}"; }
}

is_heterogeneous() { [[ $job_record =~ ^JobId=[0-9]+\ HetJobId= ]]; }

# Leave srun the options that it is given, which it takes from the environment, too: kept is what names this job.
forget_outer_job() {
    local name
    for name in $(compgen -v | grep -E '^(SLURM|SRUN)_'); do
        case $name in
        SLURM_CONF | SLURM_JOB* | SLURM_SUBMIT_* | SLURM_CLUSTER_NAME | SLURM_RESTART_COUNT | SLURM_NNODES | SLURM_NODELIST) ;;
        SLURM_NETWORK | SLURM_SPANK_*) ;; # what a site's network and plugins need
        SLURM_MEM_PER_NODE)
            # This job's, where it has one; the preflight reads it.
            [[ $(of_job MinMemoryNode) != 0 && $(of_job MinMemoryNode) ]] || unset "$name"
            ;;
        *) unset "$name" ;;
        esac
    done
}

# On SIGUSR1. Slurm sends it a fixed time before the limit, which of a short job leaves nothing: this one goes on until half
# of its time is over. Asked again it stops at once, and so does a long one.
on_warning() {
    local now half=$(( (started_at + ends_at) / 2 ))
    now=$(date +%s)
    if [[ ! ${stop_at:-} ]] && (( started_at && ends_at - started_at <= SHORT_LIMIT_S && now < half )); then
        stop_at=$half
        say "SIGUSR1 came $((ends_at - now)) s before the end of a time limit of $((ends_at - started_at)) s, and would leave the run no time; it goes on for $((half - now)) s, give a longer --time or a shorter --signal=B:USR1@SECONDS"
    else
        request_stop
    fi
}

request_stop() {
    say "SIGUSR1: the trainer is asked to save and stop"
    touch "$MEDU1_RUN_DIR/stop_requested"
    stop_at=""
}

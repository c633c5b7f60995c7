# shellcheck shell=bash disable=SC2034,SC2154  # variables of, or used by, the script that sources this
# job.sh: what Slurm says about this job. The environment is less reliable: if sbatch was called inside another job, it
# passes on that job's variables.

# A time limit of up to this many seconds is short: the warning that train.sbatch asks for comes half this long before
# the end, so in the first half of the job.
readonly SHORT_LIMIT_S=1800

read_allocation() {
    # A heterogeneous job has several records; the first one is this component's.
    job_record=$(scontrol show job --oneliner "$SLURM_JOB_ID" | head -n 1) || job_record=""
    requeue_count=$(of_job Restarts)
    export SLURM_RESTART_COUNT=${requeue_count:=0}
    started_at=$(date --date "$(of_job StartTime)" +%s 2>/dev/null) || started_at=0
    ends_at=$(date --date "$(of_job EndTime)" +%s 2>/dev/null) || ends_at=0
}

# Print the value of a field. The job's name may look like a field, but comes before all fields that are read here.
of_job() {
    local fields=" ${job_record#* JobState=}"
    [[ $fields != *" $1="* ]] || { fields=${fields#*" $1="} && echo "${fields%% *}"; }
}

is_heterogeneous() { [[ $job_record =~ ^JobId=[0-9]+\ HetJobId= ]]; }

# srun also takes options from the environment: unset all such variables but those that identify this job.
forget_outer_job() {
    local name
    for name in $(compgen -v | grep -E '^(SLURM|SRUN)_'); do
        case $name in
        SLURM_CONF | SLURM_JOB* | SLURM_SUBMIT_* | SLURM_CLUSTER_NAME | SLURM_RESTART_COUNT | SLURM_NNODES | SLURM_NODELIST) ;;
        SLURM_NETWORK | SLURM_SPANK_*) ;; # what a site's network and plugins need
        SLURM_MEM_PER_NODE)
            # Keep this job's value if it has one; the preflight reads it.
            [[ $(of_job MinMemoryNode) != 0 && $(of_job MinMemoryNode) ]] || unset "$name"
            ;;
        *) unset "$name" ;;
        esac
    done
}

# Handle SIGUSR1. Slurm sends it a fixed time before the limit, which would leave a short job no time to run: such a job
# continues until half of its time is over. At a second signal it stops at once, as a long job does at the first.
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

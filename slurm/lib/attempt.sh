# shellcheck shell=bash disable=SC2154  # variables of the script that sources this
# job.sh: records an attempt and its end, and queues the job again.

begin_attempt() {
    mkdir -p "$(dirname "$MEDU1_ATTEMPT_DIR")"
    close_earlier_records
    mkdir "$MEDU1_ATTEMPT_DIR"
    started=$(date --iso-8601=seconds)
    reason="running"
    write_record null null
    say "attempt $requeue_count of job $SLURM_JOB_ID on $MEDU1_HOSTS: $MEDU1_ATTEMPT_DIR"
}

# Slurm kills the script of a job that it queues again itself, and may do so before the script has recorded the end.
close_earlier_records() {
    local record
    for record in "$(dirname "$MEDU1_ATTEMPT_DIR")"/*/attempt.json; do
        [[ ! -f $record ]] ||
            sed -i 's/"reason": "running"}$/"reason": "ended by Slurm before it could be recorded why"}/' "$record"
    done
}

# Print a string as JSON; control characters become spaces.
quoted() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//[[:cntrl:]]/ }"
}

write_record() {
    local ended=$1 exit_code=$2 nodes="" host
    for host in $MEDU1_HOSTS; do
        nodes+=${nodes:+, }$(quoted "$host")
    done
    printf '{"job_id": %s, "restart": %s, "nodes": [%s], "started": %s, "ended": %s, "exit_code": %s, "reason": %s}\n' \
        "$SLURM_JOB_ID" "$requeue_count" "$nodes" "$(quoted "$started")" "$ended" "$exit_code" "$(quoted "$reason")" \
        >"$MEDU1_ATTEMPT_DIR/attempt.json.new"
    mv "$MEDU1_ATTEMPT_DIR/attempt.json.new" "$MEDU1_ATTEMPT_DIR/attempt.json"
}

record_end() { write_record "$(quoted "$(date --iso-8601=seconds)")" "$1"; }

# Runs whenever job.sh exits.
end_attempt() {
    local code=$?
    # Carry on after errors, for example on a full disk.
    set +eu
    [[ $reason != running ]] || reason=$(first_reason "$code")
    record_end "$code"
    rm -f "$RAY_AUTH_TOKEN_PATH"
    say "attempt $requeue_count ended with exit code $code: $reason"
    exit "$code"
}

first_reason() {
    if [[ $1 == 0 ]]; then
        echo "finished"
    elif [[ -s $MEDU1_ATTEMPT_DIR/reason ]]; then
        cat "$MEDU1_ATTEMPT_DIR/reason"
    elif [[ ${terminated:-} ]]; then
        echo "ended by Slurm (cancelled, preempted, over its time limit or without one of its nodes)"
    elif [[ -e $MEDU1_ATTEMPT_DIR/exit_code ]]; then
        echo "the driver ended with exit code $1"
    else
        echo "srun ended with exit code $1 before the driver did: $(said "$MEDU1_ATTEMPT_DIR/srun.log")"
    fi
}

# Print the beginning of a file on one line.
said() {
    local text=""
    [[ ! -s $1 ]] || text=$(head -c 600 "$1" | tr -s '[:space:]' ' ')
    echo "${text:-it said nothing}"
}

show_end_of_driver_log() {
    [[ -s $MEDU1_ATTEMPT_DIR/driver.log ]] || return 0
    say "the end of $MEDU1_ATTEMPT_DIR/driver.log:"
    tail -n 30 "$MEDU1_ATTEMPT_DIR/driver.log"
}

# End the job if a node can't see the run folder, before anything waits for files from that node.
check_run_dir() {
    (( SLURM_JOB_NUM_NODES > 1 )) || return 0
    local blind code=0
    blind=$(srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 --mpi=none \
        --export=ALL bash "$MEDU1_SLURM_DIR/lib/sees.sh" "$MEDU1_ATTEMPT_DIR/attempt.json" \
        2>"$MEDU1_ATTEMPT_DIR/srun.log" | sort | paste -sd ,) || code=$?
    (( code == 0 )) ||
        fail "$code" "srun ended with exit code $code before anything was started: $(said "$MEDU1_ATTEMPT_DIR/srun.log")"
    [[ ! $blind ]] ||
        fail "$EXIT_MISTAKE" "run_dir is $MEDU1_RUN_DIR, and ${blind//,/ and } can't see what ${MEDU1_HOSTS%% *} writes there; choose a folder on a disk that all nodes share"
}

# Print the nodes that did not report at the end, separated by commas; nothing if not even the first node reported,
# because then no single node is to blame.
lost_nodes() {
    local host lost="" first=${MEDU1_HOSTS%% *}
    is_there "$MEDU1_ATTEMPT_DIR/left-$first" || return 0
    for host in $MEDU1_HOSTS; do
        [[ -e $MEDU1_ATTEMPT_DIR/left-$host ]] || lost+=${lost:+,}$host
    done
    echo "$lost"
}

# Queue the job again, and exclude the nodes of $1 from now on. Slurm allows that only for a pending job, and as soon as
# the job is queued again it ends this script and its commands. So ignore signals, and retry until it has worked.
queue_again() {
    local lost=$1 excluded
    trap '' TERM USR1
    # If Slurm ended the attempt, it has either cancelled the job, which must stay so, or lost a node and requeued it.
    if [[ ! $terminated ]] && ! scontrol requeue "$SLURM_JOB_ID"; then
        reason="$reason; Slurm refuses to queue it again"
        return 0
    fi
    [[ $lost ]] || return 0
    for _ in {1..20}; do
        if excluded=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/.*ExcNodeList=\([^ (]*\).*/\1/p') &&
            scontrol update JobId="$SLURM_JOB_ID" ExcNodeList="${excluded:+$excluded,}$lost" 2>/dev/null; then
            say "left out from now on: ${excluded:+$excluded,}$lost"
            return 0
        fi
        sleep 0.5 || true
    done
    say "could not leave out $lost"
}

# shellcheck shell=bash disable=SC2154  # variables of the script that sources this
# node.sh: the node's own folder, and the cleanup at every exit.

make_node_dir() {
    # Ray makes its own folder accessible to all users, so put it into one that is not.
    ray_dir=$node_dir/r
    # Left by an attempt that was killed before it could clean up; another user's folder stays, and is reported below.
    rm -rf "$MEDU1_NODE_DIR_PREFIX"* || true
    (( ${#ray_dir} <= 42 )) ||
        fail "$EXIT_MISTAKE" "MEDU1_SCRATCH is $MEDU1_SCRATCH, and $ray_dir is longer than the 42 characters that Ray's sockets leave; give a shorter folder"
    (umask 077 && mkdir "$node_dir" && mkdir "$node_dir/tmp") ||
        fail "$EXIT_MISTAKE" "MEDU1_SCRATCH is $MEDU1_SCRATCH, where $host can't make a folder"
    # Ray's workers inherit these, so their sockets and temporary files are all in this folder.
    export MEDU1_NODE_DIR=$node_dir TMPDIR=$node_dir/tmp
    node_begun=$EPOCHSECONDS
}

# Print the processes that were started with this folder in their environment, or have a file in it open: some change
# their process title, which overwrites their environment in /proc.
processes_of_node_dir() {
    {
        grep --files-with-matches --null-data --no-messages --fixed-strings --line-regexp \
            "MEDU1_NODE_DIR=$node_dir" /proc/[0-9]*/environ || true
        find /proc/[0-9]*/fd -maxdepth 1 -lname "$node_dir/*" 2>/dev/null || true
    } | cut -d / -f 3 | sort -u
}

# Send a signal to all of them; succeed if there were any.
signal_processes() {
    local pids
    pids=$(processes_of_node_dir)
    # shellcheck disable=SC2086  # numbers, one a line
    [[ $pids ]] && { kill "$1" $pids 2>/dev/null || true; }
}

clean_up() {
    local code=$?
    trap '' TERM INT
    # Carry on after errors, for example on a full disk.
    set +eu
    # The commands that search for the processes must not find themselves.
    export -n MEDU1_NODE_DIR
    # Tells the other nodes to end as well.
    [[ $SLURM_PROCID != 0 ]] || touch "$ended_file"
    # The driver first, so that it can shut down cleanly.
    if [[ $driver_pid ]] && kill -TERM "$driver_pid" 2>/dev/null; then
        for _ in {1..80}; do
            kill -0 "$driver_pid" 2>/dev/null || break
            sleep 0.1
        done
    fi
    signal_processes -TERM || true
    for _ in {1..10}; do
        [[ $(processes_of_node_dir) ]] || break
        sleep 0.5
    done
    for _ in {1..25}; do
        signal_processes -KILL || break
        sleep 0.2
    done
    # Remove what killed processes have left in shared memory.
    [[ ${node_begun-} ]] && "$MEDU1_PYTHON" -m verl_medu1.run.tidy --since "$node_begun"
    keep_logs "$code"
    rm -rf "$node_dir"
    say "$host is clean, exit code $code"
    touch "$MEDU1_ATTEMPT_DIR/left-$host"
    exit "$code"
}

# Keep the logs of Ray's processes if the job failed, since they may say why.
keep_logs() {
    local logs=$ray_dir/session_latest/logs
    [[ $1 != 0 && $1 != "$EXIT_STOPPED" && -d $logs/ ]] || return 0
    mkdir -p "$MEDU1_ATTEMPT_DIR/ray-logs-$host"
    find "$logs/" -maxdepth 1 -type f -size +0 -exec cp {} "$MEDU1_ATTEMPT_DIR/ray-logs-$host" \;
}

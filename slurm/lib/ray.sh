# shellcheck shell=bash disable=SC2154  # variables of the script that sources this
# node.sh: the job's own Ray cluster.

# wait_until SECONDS COMMAND...: wait until the command succeeds, and meanwhile watch the processes started so far.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        (( SECONDS < deadline )) || return 1
        check_cluster
        pause
    done
}

all_have_reported() { [[ ! $(who_is_missing) ]]; }

# Print the hosts whose facts are still missing. A node's own name may include a domain.
who_is_missing() {
    local name missing=""
    ls "$preflight_dir" >/dev/null 2>&1
    for name in $MEDU1_HOSTS; do
        any_there "$preflight_dir/$name.json" "$preflight_dir/$name".*.json || missing+=${missing:+, }$name
    done
    echo "$missing"
}

any_there() {
    local file
    for file in "$@"; do
        [[ ! -e $file ]] || return 0
    done
    return 1
}

ray_start() {
    # As many processors as Slurm gave; Ray itself would count all of the machine's.
    [[ " $*" == *" --num-cpus="* ]] ||
        set -- "$@" --num-cpus="$("$MEDU1_PYTHON" -c 'from verl_medu1.machine.processors import given_processors as n; print(n())')"
    # The kernel chooses the workers' ports, so that those of two jobs do not clash.
    "$MEDU1_PYTHON" -m verl_medu1.cluster.ray_node --block --disable-usage-stats --node-ip-address "$node_ip" --node-name "$host" \
        --temp-dir "$ray_dir" --min-worker-port 0 --max-worker-port 0 \
        --node-manager-port $((MEDU1_PORT_BASE + 1)) --object-manager-port $((MEDU1_PORT_BASE + 2)) \
        --dashboard-agent-listen-port $((MEDU1_PORT_BASE + 3)) --dashboard-agent-grpc-port $((MEDU1_PORT_BASE + 4)) \
        --runtime-env-agent-port $((MEDU1_PORT_BASE + 5)) "$@" &
    ray_pid=$!
}

# The cluster's settings are those of the configuration (ray_kwargs.ray_init), as when medu1 train starts Ray.
start_ray_head() {
    local -a head_options node_options
    ray_address=$node_ip:$MEDU1_PORT_BASE
    "$MEDU1_PYTHON" -m verl_medu1.cluster.ray_start "$@" >"$node_dir/ray_options" ||
        fail "$EXIT_MISTAKE" "Ray's options can't be read from the configuration; see node-$host.log"
    mapfile -t head_options < <(sed -n 's/^head //p' "$node_dir/ray_options")
    mapfile -t node_options < <(sed -n 's/^node //p' "$node_dir/ray_options")
    # No monitor: there is no autoscaling.
    ray_start --head --no-monitor --port "$MEDU1_PORT_BASE" --dashboard-host 127.0.0.1 --dashboard-port $((MEDU1_PORT_BASE + 6)) \
        --ray-client-server-port $((MEDU1_PORT_BASE + 7)) "${head_options[@]}" "${node_options[@]}"
    printf '%s\n' "$ray_address" "${node_options[@]}" >"$cluster_file.new"
    mv "$cluster_file.new" "$cluster_file"
}

start_ray_worker() {
    local -a lines
    mapfile -t lines <"$cluster_file"
    ray_address=${lines[0]}
    ray_start --address "$ray_address" "${lines[@]:1}"
}

# Start the process that reports when all nodes have joined, and ends when one is lost.
watch_nodes() {
    local -a hosts
    read -ra hosts <<<"$MEDU1_HOSTS"
    RAY_ADDRESS=$ray_address "$MEDU1_PYTHON" -m verl_medu1.cluster.ray_watch --attempt "$MEDU1_ATTEMPT_DIR" \
        --hosts "${hosts[@]}" --timeout "$MEDU1_NODE_TIMEOUT_S" &
    watch_pid=$!
}

# Exit if another node, or Ray on this one, has ended.
check_cluster() {
    if is_there "$ended_file"; then
        exit 0
    elif [[ -e $MEDU1_ATTEMPT_DIR/reason ]]; then
        exit "$EXIT_LOST"
    elif [[ $ray_pid ]] && ! kill -0 "$ray_pid" 2>/dev/null; then
        fail "$EXIT_LOST" "Ray on $host ended; see node-$host.log and ray-logs-$host"
    elif [[ $watch_pid ]] && ! kill -0 "$watch_pid" 2>/dev/null; then
        fail "$EXIT_LOST" "$(cat "$MEDU1_ATTEMPT_DIR/watch" || echo "the watch over the nodes ended; see node-$host.log")"
    fi
    check_judge
}

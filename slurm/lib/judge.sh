# shellcheck shell=bash disable=SC2034,SC2154  # variables of, or used by, the script that sources this
# node.sh: the judge of open-ended answers, one server of vLLM on each node, with GPUs that the training does not use.

# Start the judge if MEDU1_JUDGE_MODEL is set, and wait until it answers. It listens on the loopback address alone: each
# reward worker asks the judge of its own node, and no answer leaves the node. Sets judge_overrides for the driver.
start_judge() {
    judge_overrides=()
    [[ ${MEDU1_JUDGE_MODEL:-} ]] || return 0
    local port=$((MEDU1_PORT_BASE + 8)) gpus=${MEDU1_JUDGE_GPUS:-1} judge_devices=""
    local -a devices
    judge_log=$MEDU1_ATTEMPT_DIR/judge-$host.log
    IFS=, read -ra devices <<<"${CUDA_VISIBLE_DEVICES:-}"
    (( gpus >= 1 && gpus < ${#devices[@]} )) ||
        fail "$EXIT_MISTAKE" "MEDU1_JUDGE_GPUS is $gpus, and $host has ${#devices[@]} GPUs for the job in CUDA_VISIBLE_DEVICES; leave at least one of them to the training, and set trainer.n_gpus_per_node to the rest"
    judge_devices=$(IFS=, && echo "${devices[*]: -gpus}")
    # Ray and the preflight see the rest.
    CUDA_VISIBLE_DEVICES=$(IFS=, && echo "${devices[*]:0:${#devices[@]} - gpus}")
    export CUDA_VISIBLE_DEVICES
    # Other users of the node must not ask it. Only this process gets the key under vLLM's name: the training's own
    # servers have none.
    MEDU1_JUDGE_TOKEN=$(<"$RAY_AUTH_TOKEN_PATH")
    export MEDU1_JUDGE_TOKEN
    # It has MEDU1_NODE_DIR in its environment, and so it ends with the node's other processes (cleanup.sh).
    # shellcheck disable=SC2086  # options, separated by spaces
    CUDA_VISIBLE_DEVICES=$judge_devices VLLM_API_KEY=$MEDU1_JUDGE_TOKEN "$MEDU1_PYTHON" -m vllm.entrypoints.openai.api_server \
        --model "$MEDU1_JUDGE_MODEL" --host 127.0.0.1 --port "$port" --tensor-parallel-size "$gpus" ${MEDU1_JUDGE_OPTIONS:-} \
        >"$judge_log" 2>&1 &
    judge_pid=$!
    wait_until "${MEDU1_JUDGE_TIMEOUT_S:-1800}" judge_answers "$port" ||
        fail "$EXIT_MISTAKE" "the judge on $host does not answer after ${MEDU1_JUDGE_TIMEOUT_S:-1800} s (MEDU1_JUDGE_TIMEOUT_S); see $judge_log"
    say "the judge $MEDU1_JUDGE_MODEL answers on port $port with GPUs $judge_devices"
    # Quoted for Hydra, as run_dir is.
    judge_overrides=("scoring.judge.base_url='http://127.0.0.1:$port/v1'" "scoring.judge.model='$MEDU1_JUDGE_MODEL'"
        scoring.judge.api_key_env=MEDU1_JUDGE_TOKEN)
}

judge_answers() {
    "$MEDU1_PYTHON" -c 'import sys, urllib.request
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=5)' "http://127.0.0.1:$1/health" 2>/dev/null
}

# Exit if the judge has ended.
check_judge() {
    [[ ! $judge_pid ]] || kill -0 "$judge_pid" 2>/dev/null || fail "$EXIT_LOST" "the judge on $host ended; see $judge_log"
}

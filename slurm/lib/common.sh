# shellcheck shell=bash
# What job.sh and node.sh share: exit codes, messages, waiting.

# shellcheck disable=SC2034  # used where this file is sourced
readonly EXIT_STOPPED=85 EXIT_MISTAKE=2 EXIT_LOST=70 EXIT_GIVEN_UP=71

say() { echo "[$(date +%H:%M:%S)] $*"; }

# The first reason that anybody gives is the attempt's, with its exit code: what breaks afterwards broke because of it.
fail() {
    local code=$1
    shift
    say "$*"
    (set -o noclobber && echo "$*" >"$MEDU1_ATTEMPT_DIR/reason" && echo "$code" >"$MEDU1_ATTEMPT_DIR/reason_code") \
        2>/dev/null || true
    exit "$code"
}

# A second that a trapped signal interrupts.
pause() {
    sleep 1 &
    wait $! || true
}

# A file on a network disk: looking into its folder makes the client ask the server again.
is_there() {
    ls "$(dirname "$1")" >/dev/null 2>&1
    [[ -e $1 ]]
}

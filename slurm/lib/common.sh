# shellcheck shell=bash
# What job.sh and node.sh share: exit codes, messages, waiting.

# shellcheck disable=SC2034  # used where this file is sourced
readonly EXIT_STOPPED=85 EXIT_MISTAKE=2 EXIT_LOST=70 EXIT_GIVEN_UP=71

say() { echo "[$(date +%H:%M:%S)] $*"; }

# End with a message and an exit code. The first reason that any node gives becomes the attempt's, with its exit code:
# later failures are consequences of it.
fail() {
    local code=$1
    shift
    say "$*"
    (set -o noclobber && echo "$*" >"$MEDU1_ATTEMPT_DIR/reason" && echo "$code" >"$MEDU1_ATTEMPT_DIR/reason_code") \
        2>/dev/null || true
    exit "$code"
}

# Sleep for a second; a trapped signal interrupts it.
pause() {
    sleep 1 &
    wait $! || true
}

# Whether a file exists on a network disk: listing its folder makes the client ask the server again.
is_there() {
    ls "$(dirname "$1")" >/dev/null 2>&1
    [[ -e $1 ]]
}

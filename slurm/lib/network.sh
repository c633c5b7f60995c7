# shellcheck shell=bash disable=SC2154  # variables of the script that sources this
# node.sh: finds the address and the interface with which this node reaches the others.

find_network() {
    if [[ -z ${MEDU1_INTERFACE:-} ]]; then
        # The interface with the address of the host's name; for a single node, any address will do.
        node_ip=$(getent ahostsv4 "$(hostname)" | awk '$1 !~ /^127\./ {print $1; exit}') || true
        [[ $node_ip || $MEDU1_HOSTS != *" "* ]] ||
            fail "$EXIT_MISTAKE" "$host: its name $(hostname) has no address on a network that others are on; set MEDU1_INTERFACE, of $(interfaces | paste -sd ' ')"
        MEDU1_INTERFACE=$(interfaces | awk -v ip="${node_ip:-127.0.0.1}" '$2 == ip {print $1; exit}')
        MEDU1_INTERFACE=${MEDU1_INTERFACE:-lo}
    fi
    node_ip=$(interfaces | awk -v name="$MEDU1_INTERFACE" '$1 == name {print $2; exit}')
    [[ $node_ip ]] ||
        fail "$EXIT_MISTAKE" "MEDU1_INTERFACE is $MEDU1_INTERFACE, and $host has no IPv4 address there; it has $(interfaces | paste -sd ' ')"
    export MEDU1_INTERFACE
    export NCCL_SOCKET_IFNAME=$MEDU1_INTERFACE GLOO_SOCKET_IFNAME=$MEDU1_INTERFACE TP_SOCKET_IFNAME=$MEDU1_INTERFACE
    # Otherwise vLLM asks the routing table, which may choose another network.
    export VLLM_HOST_IP=$node_ip
    # The nodes reach each other without a proxy.
    no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1,$node_ip,${MEDU1_HOSTS// /,}
    export no_proxy NO_PROXY=$no_proxy
}

# Print interface and IPv4 address, line by line; `ip` is not in every container.
interfaces() {
    "$MEDU1_PYTHON" -c 'import psutil, socket
for name, addresses in psutil.net_if_addrs().items():
    for address in addresses:
        if address.family == socket.AF_INET:
            print(name, address.address)'
}

"""Servers on this machine: what is sent to them goes nowhere else."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine by itself; no name but localhost is looked up.

    Example:
        >>> is_loopback("http://127.0.0.1:8000/v1"), is_loopback("http://127.0.0.1.example.org/v1")
        (True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name, or no address at all
        return False


def client_options(url: str) -> dict[str, Any]:
    """Options of the HTTP client that asks `url`: a server here is asked directly, by no proxy and no redirect.

    The proxies of the environment hold for all addresses that `NO_PROXY` does not list, this machine's own included.

    Example:
        >>> client_options("https://example.org/v1")
        {}
    """
    return {"trust_env": False, "follow_redirects": False} if is_loopback(url) else {}

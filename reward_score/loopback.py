"""Servers on this machine: data sent to them does not leave it."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is `localhost` or a loopback IP address; no host name is resolved.

    Example:
        >>> is_loopback("http://127.0.0.1:8000/v1"), is_loopback("http://127.0.0.1.example.org/v1")
        (True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another host name, or not a URL
        return False


def client_options(url: str) -> dict[str, Any]:
    """Return HTTP client options for `url`: a server on this machine is reached without proxies or redirects.

    Proxies set in the environment apply to every address that `NO_PROXY` does not list, loopback ones included.

    Example:
        >>> client_options("https://example.org/v1")
        {}
    """
    return {"trust_env": False, "follow_redirects": False} if is_loopback(url) else {}

"""A search server on loopback, in this process, that replies as each test wants."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """A reply: `parts` of the body, and the seconds before each; no length is announced."""

    parts: Iterator[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def reply(body: Any, **more: Any) -> Reply:
    """A reply with one part: bytes as they are, anything else as JSON."""
    return Reply(iter([body if isinstance(body, bytes) else json.dumps(body).encode()]), **more)


def found(*documents: Any) -> Reply:
    """What Search-R1's server replies."""
    return reply({"result": [[{"document": document, "score": 1.0} for document in documents]]})


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class Endpoint:
    """`answer(request)` decides; `requests` are the bodies received."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[dict[str, Any]], Reply] = lambda request: found({"id": "a", "contents": "x"})
        self.server = Server(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self.server.server_port}/retrieve"

    def _handler(endpoint) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append(request)
                endpoint.headers.append(dict(self.headers))
                reply = endpoint.answer(request)
                with suppress(OSError):  # a client that has given up
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    for part in reply.parts:
                        time.sleep(reply.seconds)
                        self.wfile.write(part)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def serving() -> Iterator[Endpoint]:
    """A server for the body of a `with`."""
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.server.shutdown()
        thread.join()
        endpoint.server.server_close()

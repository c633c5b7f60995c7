"""An OpenAI-compatible server on loopback, in this process, that answers by a rule which each test sets."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Case = dict[str, str]


@dataclass
class Reply:
    """What the server answers a request with.

    `text` is the message, or the whole body if `is_body`; `yes` puts log-probs of the verdict's token into the reply.
    """

    text: str = '{"verdict": "no"}'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    refusal: str | None = None
    is_body: bool = False
    log_probs: list[tuple[str, dict[str, float]]] | None = None


YES, NO = Reply('{"verdict": "yes"}'), Reply('{"verdict": "no"}')


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections that wait to be taken; the default of 5 refuses some of 16 at once


class Endpoint:
    """`reply(case)` decides; `requests` are the bodies received, `cases` their data, `most_at_once` the concurrency."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.reply: Callable[[Case], Reply] = lambda case: NO
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        self.server = Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    @property
    def cases(self) -> list[Case]:
        return [json.loads(request["messages"][-1]["content"]) for request in self.requests]

    def _handler(endpoint) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/chat/completions"
                with endpoint._lock:
                    endpoint.requests.append(request)
                    endpoint.times.append(time.monotonic())
                    endpoint._at_once += 1
                    endpoint.most_at_once = max(endpoint.most_at_once, endpoint._at_once)
                reply = endpoint.reply(json.loads(request["messages"][-1]["content"]))
                time.sleep(reply.seconds)
                with endpoint._lock:
                    endpoint._at_once -= 1
                body = reply.text if reply.is_body else json.dumps(completion(request, reply))
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body.encode())))
                with suppress(BrokenPipeError, ConnectionResetError):  # a client that has given up
                    self.end_headers()
                    self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def completion(request: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """The body of a chat completion."""
    message = {"role": "assistant", "content": None if reply.refusal else reply.text, "refusal": reply.refusal}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
    if reply.log_probs is not None and request.get("logprobs"):
        tokens = [
            {
                "token": token,
                "logprob": others[token],
                "bytes": None,
                "top_logprobs": [{"token": other, "logprob": p, "bytes": None} for other, p in others.items()],
            }
            for token, others in reply.log_probs
        ]
        choice["logprobs"] = {"content": tokens, "refusal": None}
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"]}
    return {**body, "choices": [choice], "usage": usage}


def log_probs(first: str, share: float, other: str) -> list[tuple[str, dict[str, float]]]:
    """Log-probs of a reply whose verdict begins with the token `first`."""
    ends = {"yes": 'yes"}', "no": 'no"}'}
    rest = ends["yes" if "y" in first else "no"].removeprefix(first.lstrip('"'))
    return [
        ('{"', {'{"': 0.0}),
        ("verdict", {"verdict": 0.0}),
        ('":', {'":': 0.0}),
        (" ", {" ": 0.0}) if first.startswith('"') else (' "', {' "': 0.0}),
        (first, {first: math.log(share), other: math.log(1 - share)}),
        (rest, {rest: 0.0}),
    ]


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

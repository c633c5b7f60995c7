"""A small server in OpenAI's format: `python openai_server.py FOLDER`; prints its port.

It answers multiple choice with B, a ranked list with B first, anything else with "12.5". FOLDER/log.jsonl has what it
was asked. FOLDER/mode changes what it does: "fail N" answers N requests and then 400, "key" wants the key "secret",
"split" gives the reasoning apart, "strange" replies with something else, "elsewhere" sends on to another path.
FOLDER/owner is whose models the server says it has; without it there is no list of them.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
LOCK = threading.Lock()
answered = 0


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        global answered
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mode = (FOLDER / "mode").read_text() if (FOLDER / "mode").exists() else ""
        with LOCK:
            with open(FOLDER / "log.jsonl", "a") as log:
                log.write(json.dumps(asked | {"key": self.headers["Authorization"], "path": self.path}) + "\n")
            answered += 1
            number = answered
        if mode.startswith("fail") and number > int(mode.split()[1]):
            return self.reply(400, {"error": {"message": "no: " + asked["messages"][-1]["content"]}})
        if mode == "key" and self.headers["Authorization"] != "Bearer secret":
            return self.reply(401, {"error": {"message": "wrong key"}})
        if mode == "elsewhere" and self.path != "/elsewhere":
            return self.reply(307, {})
        if mode == "strange":
            return self.reply(200, {"object": "list", "data": []})
        question = asked["messages"][-1]["content"]
        answer = "B > A" if "separated by >" in question else "B" if "letter of one option" in question else "12.5"
        message = {"role": "assistant", "content": f"<think>I know.</think><answer>{answer}</answer>"}
        usage = {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29}
        if mode == "split":
            message = {"role": "assistant", "content": f"<answer>{answer}</answer>", "reasoning_content": "I know."}
            usage["completion_tokens_details"] = {"reasoning_tokens": 7}
        choice = {"index": 0, "message": message, "finish_reason": "length" if asked["max_tokens"] == 20 else "stop"}
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"]}
        self.reply(200, reply | {"choices": [choice], "usage": usage})

    def do_GET(self) -> None:
        """The list of models, where FOLDER/owner says whose they are."""
        owner = FOLDER / "owner"
        if self.path != "/v1/models" or not owner.exists():
            return self.reply(404, {"error": {"message": "no such page"}})
        self.reply(200, {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner.read_text()}]})

    def reply(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status == 307:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()

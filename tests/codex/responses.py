"""A Responses server on loopback whose answers are a function of the request.

What a model is to do stands in the prompt itself: `PLAN: [step, step, ...]`, each step one response. The newest plan in
the input counts; the calls that follow it say how far it is done. So the same server serves both programs, any number of
agents, and goes on after a kill without knowing of it. Past the end of its plan a model says "done". Where a person types
the prompts, `by_words` gives the same steps for words in them.

Steps, each with `"think": TEXT` for a reasoning before it:
    {"say": TEXT}                         a message, which ends the turn
    {"call": [NAMESPACE, NAME, ARGS]}     a function call; NAMESPACE is "" for none
    {"calls": [[NAMESPACE, NAME, ARGS], ...]}
    {"custom": [NAME, INPUT]}             a call of a custom tool
    {"hang": GATE}                        half a message, then nothing until the client is gone or `close`
    {"say": TEXT, "hold": GATE}           the first words, and the rest when the gate is opened
    {"fail": TEXT}                        refused with 400
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MARK = "PLAN: "
# How often a client that waits is looked for.
BEAT_S = 0.2


def plan(*steps):
    """The prompt that makes a model do these steps."""
    return MARK + json.dumps(steps)


def text_of(item):
    """All text of a message, whoever wrote it."""
    parts = item.get("content") or []
    if isinstance(parts, str):
        return parts
    return "\n".join(part.get("text") or part.get("encrypted_content") or "" for part in parts)


def planned(body):
    """The step that follows from the plan in a request."""
    return next_step(body["input"], lambda text: json.JSONDecoder().raw_decode(text.split(MARK, 1)[1])[0] if MARK in text else None)


def by_words(*rules):
    """The first rule whose words are in what was said last: pairs of words and steps. What no rule knows says nothing new."""

    def steps_of(text):
        return next((list(steps) for words, *steps in rules if words in text), None)

    return lambda body: next_step(body["input"], steps_of)


def next_step(items, steps_of):
    """The step that follows from the input of a request, where `steps_of` a text are its steps, or None."""
    steps, calls = [], 0
    for item in items:
        if item["type"] in ("function_call", "custom_tool_call"):
            calls += 1
        is_said = item["type"] == "agent_message" or item.get("role") == "user"
        said = steps_of(text_of(item)) if is_said else None
        if said is not None:
            steps, calls = said, 0
    for step in steps:
        wanted = len(step.get("calls", ())) + ("call" in step) + ("custom" in step)
        if not wanted or calls < wanted:
            return step
        calls -= wanted
    return {"say": "done"}


def first_agent(items):
    """The id that the first `spawn_agent` of the older tools answered, for `$AGENT` in the arguments of a call."""
    outputs = (item.get("output") for item in items if item["type"] == "function_call_output")
    spawned = (json.loads(output) for output in outputs if isinstance(output, str) and output.startswith('{"agent_id"'))
    return next((output["agent_id"] for output in spawned), "$AGENT")


class Request:
    """One request: who asked, and what."""

    def __init__(self, n, headers, body, step_of):
        self.n = n
        self.headers = headers
        self.body = body
        self.thread = headers.get("thread-id")
        self.session = headers.get("session-id")
        self.input = body["input"]
        self.step = step_of(body)

    def metadata(self):
        """What the program says about its turn."""
        return json.loads(self.headers.get("x-codex-turn-metadata") or "{}")


class Responses:
    """The server; `with` closes it and every open answer."""

    def __init__(self, step_of=planned):
        self.step_of = step_of
        self.requests = []
        self.reached, self.opened = set(), set()
        self.changed = threading.Condition()
        self.closing = threading.Event()
        handler = type("Handler", (Handler,), {"owner": self})
        self.server = Server(("127.0.0.1", 0), handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def take(self, headers, body):
        with self.changed:
            request = Request(len(self.requests), headers, body, self.step_of)
            self.requests.append(request)
            self.changed.notify_all()
            return request

    def reach(self, gate):
        with self.changed:
            self.reached.add(gate)
            self.changed.notify_all()

    def wait_for_gate(self, gate, seconds=60):
        """Returns when a model hangs at this gate."""
        with self.changed:
            if not self.changed.wait_for(lambda: gate in self.reached, seconds):
                raise TimeoutError(f"no request reached the gate {gate!r} within {seconds} s")

    def open(self, gate):
        """What is held at this gate, now or later, goes on."""
        with self.changed:
            self.opened.add(gate)
            self.changed.notify_all()

    def is_open(self, gate, seconds):
        with self.changed:
            return self.changed.wait_for(lambda: gate in self.opened, seconds)

    def of(self, thread, since=0):
        """The requests of one thread, in order."""
        with self.changed:
            return [request for request in self.requests[since:] if request.thread == thread]

    def count(self):
        with self.changed:
            return len(self.requests)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that is killed is no error here."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.refuse(404, "there is no catalogue here")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not self.path.split("?")[0].endswith("/responses"):
            return self.refuse(404, f"nothing answers at {self.path}")
        request = self.owner.take({name.lower(): value for name, value in self.headers.items()}, json.loads(body))
        if "fail" in request.step:
            return self.refuse(400, request.step["fail"])
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            self.answer(request)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def refuse(self, status, message):
        body = json.dumps({"error": {"message": message}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def event(self, kind, **fields):
        data = f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def beat(self):
        """A comment: a client that is gone is seen when something is written to it."""
        self.wfile.write(b"3\r\n:\n\n\r\n")
        self.wfile.flush()

    def hold(self, gate):
        """Waits until the gate is opened, or the server or its client is gone."""
        self.owner.reach(gate)
        while not self.owner.is_open(gate, BEAT_S):
            if self.owner.closing.is_set():
                raise BrokenPipeError
            self.beat()

    def answer(self, request):
        step, reply = request.step, f"resp_{request.n}"
        self.event("response.created", response={"id": reply})
        output = []
        if "hang" in step:
            item = message(request.n, "", "in_progress")
            self.event("response.output_item.added", output_index=0, item=item)
            self.event("response.output_text.delta", output_index=0, content_index=0, item_id=item["id"], delta="half a ")
            self.owner.reach(step["hang"])
            while not self.owner.closing.wait(BEAT_S):
                self.beat()
            self.close_connection = True
            return
        if "think" in step:
            summary = [{"type": "summary_text", "text": step["think"]}]
            output.append({"type": "reasoning", "id": f"rs_{request.n}", "summary": summary, "encrypted_content": "b3BhcXVl"})
        if "say" in step:
            output.append(message(request.n, step["say"], "completed"))
        for index, (namespace, name, args) in enumerate(step.get("calls") or ([step["call"]] if "call" in step else [])):
            call = {"type": "function_call", "id": f"fc_{request.n}_{index}", "call_id": f"call_{request.n}_{index}"}
            arguments = json.dumps(args).replace("$AGENT", first_agent(request.input))
            call |= {"name": name, "arguments": arguments, "status": "completed"}
            output.append(call | ({"namespace": namespace} if namespace else {}))
        if "custom" in step:
            name, text = step["custom"]
            call = {"type": "custom_tool_call", "id": f"ctc_{request.n}", "call_id": f"call_{request.n}", "status": "completed"}
            output.append(call | {"name": name, "input": text})
        for index, item in enumerate(output):
            begun = item | {"content": []} if item["type"] == "message" else item
            self.event("response.output_item.added", output_index=index, item=begun)
            for part in item.get("content", ()):
                at = {"output_index": index, "content_index": 0, "item_id": item["id"]}
                first, *rest = re.findall(r"\S+\s*", part["text"]) if "hold" in step else [part["text"]]
                self.event("response.output_text.delta", **at, delta=first)
                if "hold" in step:
                    self.hold(step["hold"])
                for word in rest:
                    self.event("response.output_text.delta", **at, delta=word)
            self.event("response.output_item.done", output_index=index, item=item)
        usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5}
        usage |= {"output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15}
        self.event("response.completed", response={"id": reply, "status": "completed", "output": output, "usage": usage})


def message(n, text, status):
    content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    return {"type": "message", "id": f"msg_{n}", "role": "assistant", "status": status, "content": content}

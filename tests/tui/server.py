"""A server on loopback, which can be killed and comes back at the same place, and its model."""

import pathlib
import re
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "codex"))

from responses import Responses, by_words  # noqa: E402

CONFIG = """model = "fake-model"
model_provider = "loopback"
approval_policy = "on-request"
sandbox_mode = "workspace-write"
check_for_update_on_startup = false
disable_paste_burst = true
[analytics]
enabled = false
[features]
shell_snapshot = false
plugins = false
apps = false
memories = false
multi_agent_v2 = true
[projects."{work}"]
trust_level = "trusted"
[model_providers.loopback]
name = "loopback"
base_url = "{base_url}"
wire_api = "responses"
requires_openai_auth = false
request_max_retries = 0
stream_max_retries = 0
supports_websockets = false
"""


def call(namespace, name, **arguments):
    return {"call": [namespace, name, arguments]}


def model():
    """What is said to what is typed."""
    def spawn(name, message):
        return call("collaboration", "spawn_agent", task_name=name, message=message, fork_turns="none")

    escalated = {"sandbox_permissions": "require_escalated", "justification": "May I leave a note?"}
    return Responses(by_words(
        # A window asks for a title of each prompt; it must not do what the prompt says.
        ("Generate a concise", {"say": '{"title":"Walk in the woods"}'}),
        ("Tell me of the oak", {"say": "The oak is old. Its roots are deep.", "hold": "oak"}),
        ("Leave a note", call("", "exec_command", cmd="echo left >> note.txt", **escalated), {"say": "The note is there."}),
        ("Walk without end", {"hang": "walk"}),
        (
            "Send two scouts",
            spawn("angler", "Look into the brook."),
            spawn("ranger", "Look around in the woods."),
            call("collaboration", "wait_agent", timeout_ms=60000),
            {"say": "One of them is back."},
        ),
        ("Look into the brook", {"say": "It is full of fish.", "hold": "brook"}),
        ("Look around in the woods", {"say": "All is quiet in the woods."}),
        ("Count the rings", {"say": "One ring, two rings.", "hold": "rings"}),
        ("backwards please", {"say": "Two rings, one ring."}),
        ("Are you still there", {"say": "Yes, I am here."}),
        ("And in the fork", {"say": "Here the path divides."}),
    ))


class Server:
    """`app-server` on a port of its own; `with` ends it."""

    def __init__(self, program, folder, env):
        self.program, self.folder, self.env, self.port = program, folder, env, 0
        self.start()

    def start(self):
        log = open(self.folder / "server.log", "ab")
        command = [self.program, "app-server", "--listen", f"ws://127.0.0.1:{self.port}"]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=self.folder / "work", env=self.env, **pipes)
        for line in self.process.stderr:
            log.write(line)
            if found := re.search(rb"ws://\S+", line):
                self.url = found[0].decode()
                self.port = int(self.url.rstrip("/").rsplit(":", 1)[1])
                break
        else:
            raise AssertionError(f"the server ended before it listened; its log is {log.name}")
        threading.Thread(target=lambda err: log.writelines(err), args=(self.process.stderr,), daemon=True).start()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Daemon:
    """The server that `daemon start` leaves in the background; `with` ends it."""

    def __init__(self, program, folder, env):
        self.program, self.folder, self.env = program, folder, env

    def verb(self, name):
        command = [self.program, "daemon", name]
        return subprocess.run(command, cwd=self.folder / "work", env=self.env, check=True, capture_output=True, text=True).stdout

    def __enter__(self):
        self.verb("start")
        return self

    def __exit__(self, *_):
        self.verb("stop")

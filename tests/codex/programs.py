"""The two programs, on one home: how they are started, asked, and killed."""

import json
import os
import queue
import re
import signal
import subprocess
import threading
import time

ANSI = re.compile(r"\x1b\[[0-9;]*m")

CONFIG = """model = "gpt-5.5"
model_provider = "fake"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
shell_snapshot = false
plugins = false
apps = false
memories = false
multi_agent_v2 = {v2}
[model_providers.fake]
name = "fake"
base_url = "{base_url}"
wire_api = "responses"
requires_openai_auth = false
request_max_retries = 0
stream_max_retries = 0
supports_websockets = false
"""


class Home:
    """A home that both programs share, in a folder of its own."""

    def __init__(self, folder, base_url, v2):
        self.folder, self.user, self.work = folder, folder / "user", folder / "work"
        self.path = folder / "home"
        self.logs = folder / "logs"
        self.processes = []
        for made in (self.user, self.work, self.path, self.logs):
            made.mkdir(parents=True)
        (self.path / "config.toml").write_text(CONFIG.format(base_url=base_url, v2=str(v2).lower()))

    def env(self, path=None):
        path = str(path or self.path)
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        own = {"HOME": str(self.user), "CODEX_HOME": path, "SAPWOOD_HOME": path, "TZ": "UTC"}
        return keep | own | {"SAPWOOD_SYSTEM_CONFIG": "", "RUST_LOG": "warn,codex_rollout=trace"}

    def spawn(self, command, path=None, **pipes):
        """Starts a program of ours; whatever happens, `close` ends it."""
        process = subprocess.Popen(command, cwd=self.work, env=self.env(path), **pipes)
        self.processes.append(process)
        return process

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def log(self, name):
        return open(self.logs / f"{len(os.listdir(self.logs)):03}-{name}", "w+b")


class Codex:
    """`codex app-server` over stdio."""

    def __init__(self, program, home, path=None):
        self.home = home
        self.log = home.log("codex.stderr")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
        self.process = home.spawn([program, "app-server"], path, **pipes)
        self.messages, self.notifications, self.next_id = queue.Queue(), [], 1
        threading.Thread(target=self.listen, daemon=True).start()
        client = {"name": "sapwood_check", "title": "Sapwood check", "version": "0"}
        self.ask("initialize", clientInfo=client, capabilities={"experimentalApi": True})
        self.send({"method": "initialized"})

    def listen(self):
        for line in self.process.stdout:
            self.messages.put(json.loads(line))
        self.messages.put(None)

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def read(self, until):
        message = self.messages.get(timeout=max(0.01, until - time.monotonic()))
        if message is None:
            raise EOFError(f"codex ended; its log is {self.log.name}")
        if "method" in message:
            self.notifications.append(message)
        return message

    def call(self, method, **params):
        """The answer, whether it is a result or an error."""
        n, self.next_id = self.next_id, self.next_id + 1
        self.send({"id": n, "method": method, "params": params})
        until = time.monotonic() + 60
        while True:
            message = self.read(until)
            if message.get("id") == n and "method" not in message:
                return message

    def ask(self, method, **params):
        """The result; an error ends the check."""
        answer = self.call(method, **params)
        if "error" in answer:
            raise AssertionError(f"codex refused {method}: {answer['error']['message']}")
        return answer["result"]

    def wait_for(self, method, seconds=60, **fields):
        """The first notification, old or new, with these params."""
        until, seen = time.monotonic() + seconds, 0
        while True:
            for message in self.notifications[seen:]:
                params = message.get("params") or {}
                if message["method"] == method and all(params.get(name) == value for name, value in fields.items()):
                    self.notifications.remove(message)
                    return params
            seen = len(self.notifications)
            self.read(until)

    def start(self, **params):
        return self.ask("thread/start", cwd=str(self.home.work), **params)["thread"]

    def resume(self, thread):
        return self.ask("thread/resume", threadId=thread)["thread"]

    def say(self, thread, text, *more):
        """Begins a turn."""
        self.notifications = [m for m in self.notifications if m["method"] != "turn/completed"]
        return self.ask("turn/start", threadId=thread, input=[*more, {"type": "text", "text": text}])["turn"]["id"]

    def turn(self, thread, text, *more):
        """A whole turn."""
        turn = self.say(thread, text, *more)
        ended = self.wait_for("turn/completed", threadId=thread)["turn"]
        if ended["status"] != "completed":
            raise AssertionError(f"codex's turn {turn} ended as {ended['status']}: {ended.get('error')}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def said(self):
        """All that it wrote on stderr, without colours."""
        with open(self.log.name, "rb") as log:
            return ANSI.sub("", log.read().decode(errors="replace"))

    def complaints(self):
        """What it warned of on stderr."""
        return [line for line in self.said().splitlines() if " WARN " in line or " ERROR " in line]


class Sapwood:
    """`sapwood exec --json`, once."""

    def __init__(self, program, home, *args, path=None):
        self.out, self.err = home.log("sapwood.stdout"), home.log("sapwood.stderr")
        command = [program, "exec", "--json", "--skip-git-repo-check", "-c", "model_provider=fake", *args]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": self.out, "stderr": self.err}
        self.process = home.spawn(command, path, **pipes)

    def read(self, file):
        with open(file.name, "rb") as file:
            return file.read().decode(errors="replace")

    def wait(self, seconds=60):
        self.process.wait(timeout=seconds)
        return self

    def ended(self, code=0):
        """Waits for the end; any other code ends the check."""
        self.wait()
        if self.process.returncode != code:
            raise AssertionError(f"sapwood ended with {self.process.returncode}, not {code}: {self.read(self.err)}")
        return self

    def thread(self):
        for line in self.read(self.out).splitlines():
            event = json.loads(line)
            if event["type"] == "thread.started":
                return event["thread_id"]
        raise AssertionError(f"sapwood named no thread: {self.read(self.err)}")

    def kill(self):
        self.process.kill()
        self.process.wait()


def end_command(pid):
    """Ends a command that a killed program left behind. It is still ours: nobody else knew its pid."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass

"""A terminal that a program runs in: keys in, text out."""

import itertools
import os
import re
import subprocess
import time

# What is not on the screen by then does not come.
PATIENCE_S = 60
# How often the screen is looked at while something is waited for.
LOOK_S = 0.05
COLUMNS, ROWS = 100, 40


class Screen:
    """One window of a tmux server that nobody else uses; `with` ends both."""

    # A server ends some time after it was told to: the next one is another.
    servers = itertools.count()

    def __init__(self, folder, command, env, cwd, document=None):
        self.folder, self.document = folder, document
        self.tmux = ["tmux", "-S", str(folder / f"tmux-{next(self.servers)}"), "-f", "/dev/null"]
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        own = ["env", "-i", *(f"{name}={value}" for name, value in env.items()), "TERM=tmux-256color", *map(str, command)]
        # A window whose program has ended still shows what it said last.
        self.run("new-session", "-d", *size, "-c", str(cwd), "sleep", "infinity")
        self.run("set-option", "-g", "remain-on-exit", "on")
        self.run("respawn-pane", "-k", "-c", str(cwd), *own)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("kill-server", check=False)

    def run(self, *args, check=True):
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": "/nonexistent"}
        return subprocess.run([*self.tmux, *args], check=check, capture_output=True, text=True, env=env, timeout=PATIENCE_S).stdout

    def text(self):
        """All that it shows, and what went out at the top."""
        return self.run("capture-pane", "-p", "-S", "-200")

    def wait(self, *patterns, gone=()):
        """Waits until all of the patterns, and none of `gone`, are shown."""
        until, text = time.monotonic() + PATIENCE_S, ""
        while time.monotonic() < until:
            text = self.text()
            lacks = [pattern for pattern in patterns if not re.search(pattern, text)]
            more = [pattern for pattern in gone if re.search(pattern, text)]
            if not lacks and not more:
                return text
            time.sleep(LOOK_S)
        raise AssertionError(f"the screen lacks {lacks} and still has {more} after {PATIENCE_S} s:\n{text.rstrip()}")

    def wait_for_end(self):
        """Waits until the program has ended."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if self.run("display-message", "-p", "#{pane_dead}").strip() == "1":
                return
            time.sleep(LOOK_S)
        raise AssertionError(f"it runs on:\n{self.text().rstrip()}")

    def keys(self, *names):
        self.run("send-keys", *names)

    def type(self, text):
        """Types, and waits until it stands there."""
        self.run("send-keys", "-l", text)
        self.wait(re.escape(text[-40:]))

    def say(self, text):
        self.type(text)
        self.keys("Enter")

    def shot(self, caption, since=None):
        """Keeps what is shown now; or what was shown since a pattern, if some of it is out of sight."""
        if not self.document:
            return
        text = self.text() if since else self.run("capture-pane", "-p")
        self.document.shot(caption, text[re.search(since, text).start():] if since else text, self.folder)

"""The window of Codex on our server. See README.md."""

import argparse
import contextlib
import functools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from document import Document
from scenes import SCENES
from screen import PATIENCE_S, Screen
from server import CONFIG, Daemon, Server, model

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = """# The window of Codex on our server

What a person sees who runs Codex 0.169.0 with Sapwood as its server: `codex --remote ws://...`, or plain `codex` beside
`sapwood daemon start`. `tests/tui` plays these scenes in a real terminal: it presses keys, waits for what the screen is to show, and
fails if it does not come. It writes this page, too:

```sh
just tui --codex PATH --screens docs/tui.md
```

PATH is the binary of Codex; the model is played by a server on loopback. With `--server PATH` Codex's own server takes Sapwood's place: it
shows the same, but that the end of a child comes before the end of the wait for it, and that whoever opens a child at work does not see
what it has said so far. Repeated empty lines, the picture of a new window, Codex's tips and its warnings about the machine
are left out; ids, ports and times are the same in every run.
"""


class World:
    """A folder, a model and a server for one scene; `with` ends them."""

    def __init__(self, args, document):
        self.args, self.document, self.failed = args, document, []
        self.ends = contextlib.ExitStack()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sapwood-tui-"))
        self.model = model()
        for made in ("server-home", "client-home", "work", "tmp"):
            (self.folder / made).mkdir()
        for home in ("server-home", "client-home"):
            text = CONFIG.format(base_url=self.model.base_url, work=self.folder / "work")
            (self.folder / home / "config.toml").write_text(text)
        self.note = self.folder / "work/note.txt"

    def env(self, home):
        home = str(self.folder / home)
        own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC", "SAPWOOD_SYSTEM_CONFIG": ""}
        # Codex says so where its home is a temporary folder.
        own |= {"HOME": str(self.folder), "TMPDIR": str(self.folder / "tmp")}
        return own | {"CODEX_HOME": home, "SAPWOOD_HOME": home}

    @functools.cached_property
    def server(self):
        """The server of `--remote`, which shares no home with its window."""
        return self.ends.enter_context(Server(self.args.server, self.folder, self.env("server-home")))

    def daemon(self):
        """The server in the background of the window's own home."""
        return Daemon(self.args.server, self.folder, self.env("client-home"))

    def window(self, *words):
        return Screen(self.folder, [self.args.codex, *words], self.env("client-home"), self.folder / "work", self.document)

    def run(self, verb, *words):
        """Something that Codex does and is done with."""
        command = [self.args.codex, verb, "--remote", self.server.url, *words]
        own = {"env": self.env("client-home"), "cwd": self.folder / "work", "timeout": PATIENCE_S}
        subprocess.run(command, check=True, capture_output=True, **own)

    def expect(self, holds, rule):
        if not holds:
            self.failed.append(rule)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ends.close()
        self.model.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)


def play(scene, args, document):
    start = time.monotonic()
    if document:
        document.scene(scene)
    with World(args, document) as world:
        try:
            scene(world)
        except Exception:
            world.failed.append(traceback.format_exc())
        failed = world.failed
    print(f"{'FAILED' if failed else 'ok':6} {scene.__name__} ({time.monotonic() - start:.0f} s): {scene.__doc__}", flush=True)
    for rule in failed:
        print(f"  NOT  {rule}", flush=True)
    return not failed


def main():
    names = [scene.__name__ for scene in SCENES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codex", required=True, type=pathlib.Path, help="the binary of Codex 0.169.0, for its window")
    parser.add_argument("--server", default=ROOT / "target/debug/sapwood", type=pathlib.Path, help="the program that serves")
    parser.add_argument("--screens", type=pathlib.Path, metavar="FILE", help="write what was shown as a page")
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"some of: {', '.join(names)}")
    args = parser.parse_args()
    if unknown := set(args.scenes) - set(names):
        parser.error(f"there is no scene {', '.join(sorted(unknown))}")
    document = args.screens and Document(HEAD)
    results = [play(scene, args, document) for scene in SCENES if not args.scenes or scene.__name__ in args.scenes]
    if document and all(results):
        document.write(args.screens)
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()

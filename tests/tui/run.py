"""The window of Codex on our server. See README.md."""

import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

from scenes import SCENES
from screen import Screen
from server import CONFIG, Server, model

ROOT = pathlib.Path(__file__).resolve().parents[2]


class World:
    """A folder, a model and a server for one scene; `with` ends them."""

    def __init__(self, args, name):
        self.args, self.failed = args, []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sapwood-tui-"))
        self.model = model()
        for made in ("server-home", "client-home", "work"):
            (self.folder / made).mkdir()
            if made != "work":
                text = CONFIG.format(base_url=self.model.base_url, work=self.folder / "work")
                (self.folder / made / "config.toml").write_text(text)
        self.note = self.folder / "work/note.txt"
        self.server = Server(args.server, self.folder, self.env("server-home"))
        self.screens = args.screens and args.screens / name
        if self.screens:
            self.screens.mkdir(parents=True, exist_ok=True)

    def env(self, home):
        home = str(self.folder / home)
        own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC", "SAPWOOD_SYSTEM_CONFIG": ""}
        return own | {"HOME": str(self.folder), "CODEX_HOME": home, "SAPWOOD_HOME": home}

    def window(self):
        command = [self.args.codex, "--remote", self.server.url]
        return Screen(self.folder, command, self.env("client-home"), self.folder / "work", self.screens)

    def expect(self, holds, rule):
        if not holds:
            self.failed.append(rule)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.kill()
        self.model.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)


def play(scene, args):
    start = time.monotonic()
    with World(args, scene.__name__) as world:
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
    parser.add_argument("--screens", type=pathlib.Path, metavar="DIR", help="keep what was shown")
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"some of: {', '.join(names)}")
    args = parser.parse_args()
    if unknown := set(args.scenes) - set(names):
        parser.error(f"there is no scene {', '.join(sorted(unknown))}")
    results = [play(scene, args) for scene in SCENES if not args.scenes or scene.__name__ in args.scenes]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()

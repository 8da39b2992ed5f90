"""Sapwood and the real Codex on one home. See README.md."""

import argparse
import pathlib
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter

import adoption
import histories
import locks
import threads
import trees
from world import World

CHECKS = {
    "thread-codex-first": (True, lambda world: threads.alternate(world, "codex")),
    "thread-sapwood-first": (True, lambda world: threads.alternate(world, "sapwood")),
    "thread-single-agent": (False, lambda world: threads.alternate(world, "codex")),
    "torn-tail": (True, threads.torn_tail),
    "items": (True, histories.items),
    "interrupts": (True, histories.interrupts),
    "parallel-calls": (True, histories.parallel_calls),
    "compaction": (True, histories.compaction),
    "fork": (True, histories.fork),
    "legacy": (True, histories.legacy),
    "tree-of-sapwood": (True, trees.of_sapwood),
    "tree-of-codex": (True, trees.of_codex),
    "locks": (True, locks.the_loser_is_told),
    "lock-race": (True, locks.race),
    "adoption-goal": (True, adoption.goal),
    "adoption-queue": (True, adoption.queue),
    "adoption-closed": (False, adoption.closed),
}


class Report:
    """What held and what did not, by the name of the rule."""

    def __init__(self):
        self.held, self.failed = Counter(), []

    def expect(self, holds, rule, seen=""):
        if holds:
            self.held[rule] += 1
        else:
            self.failed.append((rule, seen))


def programs():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codex", required=True, type=pathlib.Path, help="the binary of Codex 0.169.0")
    parser.add_argument("--sapwood", required=True, type=pathlib.Path)
    parser.add_argument("--keep", action="store_true", help="keep the folders: homes, logs, requests")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"some of: {', '.join(CHECKS)}")
    args = parser.parse_args()
    args.codex, args.sapwood = native(args.codex.resolve()), args.sapwood.resolve()
    if unknown := set(args.checks) - set(CHECKS):
        parser.error(f"there is no check {', '.join(sorted(unknown))}")
    return args


def native(codex):
    """The program itself: to kill the Node launcher of the npm package would leave it running."""
    if codex.suffix != ".js":
        return codex
    found = sorted(codex.parents[2].glob("codex-*/vendor/*/bin/codex")) or sorted(codex.parents[1].glob("vendor/*/bin/codex"))
    if not found:
        sys.exit(f"{codex} starts another program, which was not found; give its path to --codex")
    return found[0]


def check(name, args):
    v2, body = CHECKS[name]
    report, start = Report(), time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"sapwood-codex-{name}-"))
    try:
        with World(report, folder, args, v2) as world:
            body(world)
    except Exception:
        report.failed.append(("the check runs to its end", traceback.format_exc()))
    if not report.held:
        report.failed.append(("the check expects something", "nothing was expected"))
    print(f"{'FAILED' if report.failed else 'ok':6} {name} ({time.monotonic() - start:.0f} s)", flush=True)
    for rule, count in report.held.items():
        print(f"       {count:4} x {rule}")
    for rule, count in Counter(rule for rule, _ in report.failed).items():
        seen = [seen for failed, seen in report.failed if failed == rule]
        print(f"  NOT  {count:4} x {rule}\n             {seen[0]}", flush=True)
    if args.keep:
        print(f"       kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return not report.failed


def main():
    args = programs()
    results = [check(name, args) for name in args.checks or CHECKS]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()

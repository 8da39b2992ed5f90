"""A check: one home, one server, both programs, and what must hold after every step."""

import json
import os
import re
import select
import shutil

from programs import Codex, Home, Sapwood, end_command
from responses import Responses, plan, text_of
from rollouts import difference, prompt, rollouts

SKIPPED = re.compile(r"skipping (unknown|malformed) rollout line .*rollout_path=(\S+) .*line_start_byte_offset=(\d+)")
# What Codex says in any such home, with or without us.
USUAL = (
    "could not create PATH aliases",
    "find bubblewrap",
    # A rollout that it has not indexed yet.
    "state db discrepancy",
    # Calls that a check gets wrong on purpose.
    "codex_core::tools::router",
    # It ends before it has told everything.
    "failed to flush rollout after emitting terminal turn event",
)
UNPARSED = re.compile(r"failed to parse rollout line: unknown variant `([^`]*)`")


class World:
    """Whatever a check starts, `with` ends."""

    def __init__(self, report, folder, programs, v2=True):
        self.report, self.programs, self.v2 = report, programs, v2
        self.responses = Responses()
        self.home = Home(folder, self.responses.base_url, v2)
        self.codexes, self.torn = [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.home.close()
        # For whoever looks at a check that failed.
        with open(self.home.logs / "requests.jsonl", "w") as log:
            log.writelines(json.dumps({"headers": r.headers, "body": r.body}) + "\n" for r in self.responses.requests)
        self.responses.__exit__()

    def codex(self):
        codex = Codex(self.programs.codex, self.home)
        self.codexes.append(codex)
        return codex

    def sapwood(self, *args, path=None):
        return Sapwood(self.programs.sapwood, self.home, *args, path=path)

    def resume(self, thread, *steps, path=None):
        return self.sapwood("resume", thread, plan(*steps), path=path)

    def rollout(self, thread):
        return rollouts(self.home.path)[thread]

    def command(self):
        """A step that runs a command which says that it runs, and does not end; and what waits for it."""
        fifo = self.home.folder / f"fifo-{self.responses.count()}"
        os.mkfifo(fifo)
        # Open for both: whoever writes is not held up.
        end = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)

        def runs():
            ready, _, _ = select.select([end], [], [], 60)
            if not ready:
                raise TimeoutError("the command did not start within 60 s")
            return int(os.read(end, 64))

        return {"call": ["", "exec_command", {"cmd": f"echo $$ > {fifo}; exec sleep 600"}]}, runs

    def interrupt(self, begin, kill, in_tool, who):
        """Begins a turn, and kills its program in the middle of it."""
        if in_tool:
            step, runs = self.command()
            program = begin(step)
            pid = runs()
            watch = os.pidfd_open(pid)
            kill(program)
            if who == "sapwood":
                gone, _, _ = select.select([watch], [], [], 20)
                self.report.expect(bool(gone), "a command of a killed sapwood ends with it", f"process {pid} lives on")
            os.close(watch)
            end_command(pid)
        else:
            gate = f"gate {self.responses.count()}"
            program = begin({"hang": gate})
            self.responses.wait_for_gate(gate)
            kill(program)

    def files_are_sound(self, when):
        """Every line is JSON, ordinals follow each other."""
        for thread, rollout in rollouts(self.home.path).items():
            problems = rollout.problems(self.torn)
            self.report.expect(not problems, "lines are JSON, ordinals contiguous", f"{when}, {rollout.path}: {problems[:3]}")

    def codex_skipped_ours(self, threads, when):
        """Codex has skipped our lines, each once, and nothing else; it said nothing else either."""
        skipped, other = [], []
        for codex in self.codexes:
            for line in codex.complaints():
                if match := SKIPPED.search(line):
                    skipped.append((match[2], int(match[3])))
                elif not any(usual in line for usual in USUAL):
                    other.append(line[:300])
        for thread in threads:
            rollout = self.rollout(thread)
            if rollout.is_legacy():
                self.codex_skipped_ours_of_legacy(rollout, when)
                continue
            mine = [at for path, at in skipped if path == str(rollout.path)]
            torn = set(rollout.torn())
            says = f"{when}, {thread}: skipped {sorted(mine)}, ours {sorted(rollout.ours())}, torn {sorted(torn)}"
            same = sorted(set(mine) - torn) == sorted(rollout.ours()) and len(mine) == len(set(mine))
            self.report.expect(same, "Codex skips exactly our lines", says)
        self.report.expect(not other, "Codex complains of nothing else", f"{when}: {other[:3]}")

    def codex_skipped_ours_of_legacy(self, rollout, when):
        """It reads such a file whole each time, and names only kinds."""
        ours = [record["type"] for record in rollout.records() if record["type"].startswith("sapwood.")]
        skipped = UNPARSED.findall(self.codexes[-1].said())
        same = bool(skipped) and skipped == ours * (len(skipped) // len(ours))
        self.report.expect(same, "Codex skips exactly our lines", f"{when}: skipped {skipped}, ours {ours}")

    def goes_on(self, before, after, when):
        """A request goes on where the last one of the other program was."""
        old, new = prompt(before), prompt(after)
        parted = difference(old, new[: len(old)])
        self.report.expect(not parted, "a prompt goes on from the other's last one", f"{when}: {parted}")
        same = [
            ("cache key", before.body.get("prompt_cache_key"), after.body.get("prompt_cache_key")),
            ("session", before.session, after.session),
            ("model", before.body["model"], after.body["model"]),
        ]
        # Codex leaves lines about tools out that it does not offer; what it recorded is what we send.
        recorded = self.rollout(after.thread).meta()["base_instructions"]["text"]
        sent = text_of(after.input[0])
        if "/0.169." not in after.headers["user-agent"]:
            same.append(("instructions", recorded, sent))
        elif other := set(sent.splitlines()) - set(recorded.splitlines()):
            same.append(("instructions", None, other))
        changed = [(name, str(a)[:80], str(b)[:80]) for name, a, b in same if a != b]
        self.report.expect(not changed, "instructions, model and cache key stay", f"{when}: {changed}")

    def codex_shows(self, thread, shown, when):
        """Codex shows the turns of the file, and how they ended; of a fork, behind those that it got."""
        turns, shown = list(self.rollout(thread).turns().items()), [(turn["id"], turn["status"]) for turn in shown["turns"]]
        same = shown[-len(turns) :] == turns
        self.report.expect(same, "Codex shows the turns of the file", f"{when}, {thread}: shown {shown}, in the file {turns}")

    def rebuilt(self, thread, by_us, by_codex, known, when):
        """Both made the same history of one file; what each adds for the new turn is its own."""

        rollout = self.rollout(thread)
        started = {line["call"] for line in rollout.own("tool_started") + rollout.own("waiting")}

        def is_known(item):
            return item.get("id", "").encode() in known

        # Of a tool that we had started we write that its effect is unknown, and a wait goes on; Codex takes both for
        # aborted.
        def is_given_up(item):
            return item["type"].endswith("_output") and item.get("call_id") in started and not is_known(item)

        def history(request):
            items = [item for item in prompt(request) if not is_given_up(item)]
            while items and not is_known(items[-1]) and items[-1].get("output") != "aborted":
                items.pop()
            return items

        given_up = [{item["call_id"] for item in prompt(request) if is_given_up(item)} for request in (by_us, by_codex)]
        self.report.expect(given_up[0] == given_up[1], "both answer a call that was cut off", f"{when}: {given_up}")
        parted = difference(history(by_us), history(by_codex))
        self.report.expect(not parted, "both rebuild the same prompt", f"{when}: sapwood / codex: {parted}")

    def last(self, thread):
        """The last request of a thread in the shared home: what was asked in a copy is not told apart by its thread."""
        return [request for request in self.responses.of(thread) if "rebuilt" not in str(request.step)][-1]

    def copy(self):
        """A copy of the rollouts: what a program makes of them there is nobody's business here."""
        path = self.home.folder / f"copy-{len(list(self.home.folder.iterdir()))}"
        path.mkdir()
        shutil.copytree(self.home.path / "sessions", path / "sessions")
        shutil.copy(self.home.path / "config.toml", path)
        return path

    def rebuild(self, root, when, steps=({"say": "rebuilt"},), threads=()):
        """Each program resumes a copy, and is asked the same. `steps` make requests of all `threads`."""
        threads, since = threads or [root], self.responses.count()
        known = b"".join(rollout.bytes for rollout in rollouts(self.home.path).values())
        self.resume(root, *steps, path=self.copy()).ended()
        by_us = {thread: self.responses.of(thread, since) for thread in threads}
        since = self.responses.count()
        codex = Codex(self.programs.codex, self.home, path=self.copy())
        codex.resume(root)
        codex.turn(root, plan(*steps))
        codex.end()
        by_codex = {thread: self.responses.of(thread, since) for thread in threads}
        for thread in threads:
            if not by_us[thread] or not by_codex[thread]:
                asked = f"{when}, {thread}: {len(by_us[thread])} and {len(by_codex[thread])} requests"
                self.report.expect(False, "both rebuild the same prompt", asked)
            else:
                self.rebuilt(thread, by_us[thread][0], by_codex[thread][0], known, f"{when}, {thread}")

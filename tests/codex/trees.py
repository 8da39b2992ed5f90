"""A root and two children, one of them forked with all of the root's history, in turns between both programs."""

from responses import plan
from rollouts import difference, prompt, rollouts

ROUNDS = 3
AGENTS = ("/root/alpha", "/root/beta")


def call(name, **args):
    return {"call": ["collaboration", name, args]}


def wait():
    return call("wait_agent", timeout_ms=20000)


def spawn(name, fork_turns, *steps):
    return call("spawn_agent", task_name=name, message=plan(*steps), fork_turns=fork_turns)


def follow_up(name, *steps):
    return call("followup_task", target=f"/root/{name}", message=plan(*steps))


class Tree:
    def __init__(self, world):
        self.world, self.root, self.threads, self.last = world, None, {}, {}

    def first_turn(self):
        """Each child reports before the next step."""
        run = {"call": ["", "exec_command", {"cmd": "echo alpha"}]}
        alpha = spawn("alpha", "none", run, {"say": "alpha is made"})
        return [alpha, wait(), spawn("beta", "all", {"say": "beta is made"}), wait(), {"say": "both are made"}]

    def next_turn(self, name):
        run = {"call": ["", "exec_command", {"cmd": f"echo {name}"}]}
        alpha = follow_up("alpha", run, {"say": f"alpha, {name}"})
        beta = follow_up("beta", {"say": f"beta, {name}"})
        return [alpha, wait(), beta, wait(), call("list_agents"), {"say": name}]

    def half_turn(self, hung, gate):
        """One child is in the middle of its turn, the root waits for it."""
        return [follow_up(hung, {"hang": gate}), wait(), {"say": "never said"}]

    def look(self):
        for thread, rollout in rollouts(self.world.home.path).items():
            self.threads[rollout.meta().get("agent_path") or "/root"] = thread

    def compare(self, since, when):
        """Each agent's first request goes on from its last one."""
        self.look()
        for path, thread in self.threads.items():
            requests = self.world.responses.of(thread, since)
            if not requests:
                self.world.report.expect(False, "every agent is asked", f"{when}, {path}")
                continue
            if path in self.last:
                self.world.goes_on(self.last[path], requests[0], f"{when}, {path}")
            self.last[path] = self.world.responses.of(thread)[-1]

    def forked(self, when, by_us):
        """The child with all of the root's history begins with the request that made it."""
        beta, when = self.threads["/root/beta"], f"{when}, /root/beta"
        first = self.world.responses.of(beta)[0]
        source = [r for r in self.world.responses.of(self.root) if r.n < first.n and "spawn_agent" in str(r.step)][-1]
        parted = difference(prompt(source), prompt(first)[: len(prompt(source))])
        self.world.report.expect(not parted, "a full fork begins with its source's prompt", f"{when}: {parted}")
        if by_us:
            base = self.world.rollout(beta).meta().get("history_base") or {}
            self.world.report.expect(base.get("thread_id") == self.root, "our full fork refers to its source", f"{when}: {base}")

    def is_its_own_root(self, since, when):
        """The root only has turns of the user here."""
        foreign = [r.metadata() for r in self.world.responses.of(self.root, since)]
        foreign = [m for m in foreign if m["root_turn_id"] != m["turn_id"] or m.get("parent_turn_id")]
        self.world.report.expect(not foreign, "a turn of the user has no other above it", f"{when}: {str(foreign)[:300]}")

    def listed(self, since, when):
        """The last `list_agents` named both children."""
        items = self.world.responses.of(self.root, since)[-1].input
        outputs = [str(item.get("output")) for item in items if item["type"] == "function_call_output"]
        shown = [output for output in outputs if '"agents"' in output][-1:]
        holds = bool(shown) and all(path in shown[0] for path in AGENTS)
        self.world.report.expect(holds, "list_agents names the children", f"{when}: {shown}")

    def reported(self, since, name, when):
        """The root got each child's report, once."""
        items = self.world.responses.of(self.root, since)[-1].input
        for path in AGENTS:
            said = f"{path.rpartition('/')[2]}, {name}"
            mails = [item for item in items if item["type"] == "agent_message" and item["author"] == path and said in str(item)]
            self.world.report.expect(len(mails) == 1, "each report arrives once", f"{when}, {path}: {len(mails)} with {said!r}")

    def codex(self, n):
        world, name, when = self.world, f"codex {n}", f"round {n}, codex"
        if self.root is not None:
            world.rebuild(self.root, f"before {when}", self.next_turn("rebuilt"), list(self.threads.values()))
        since, codex = world.responses.count(), world.codex()
        if self.root is None:
            self.root = codex.start()["id"]
            codex.turn(self.root, plan(*self.first_turn()))
        else:
            world.codex_shows(self.root, codex.resume(self.root), when)
            codex.turn(self.root, plan(*self.next_turn(name)))
            # It refuses a child that it has not loaded through the root.
            for path in AGENTS:
                world.codex_shows(self.threads[path], codex.resume(self.threads[path]), f"{when}, {path}")
            self.listed(since, when)
            self.reported(since, name, when)
        self.look()
        if n == 0 and not self.last:
            self.forked(when, False)
        self.is_its_own_root(since, when)
        world.codex_skipped_ours(self.threads.values(), when)
        gate = f"gate {world.responses.count()}"
        codex.say(self.root, plan(*self.half_turn("alpha" if n % 2 else "beta", gate)))
        world.responses.wait_for_gate(gate)
        codex.kill()
        self.compare(since, when)
        world.files_are_sound(when)

    def sapwood(self, n):
        world, name, when = self.world, f"sapwood {n}", f"round {n}, sapwood"
        if self.root is not None:
            world.rebuild(self.root, f"before {when}", self.next_turn("rebuilt"), list(self.threads.values()))
        since = world.responses.count()
        if self.root is None:
            self.root = world.sapwood(plan(*self.first_turn())).ended().thread()
        else:
            world.resume(self.root, *self.next_turn(name)).ended()
            self.listed(since, when)
            self.reported(since, name, when)
        self.look()
        if n == 0 and not self.last:
            self.forked(when, True)
        self.is_its_own_root(since, when)
        world.files_are_sound(when)
        gate = f"gate {world.responses.count()}"
        sapwood = world.resume(self.root, *self.half_turn("beta" if n % 2 else "alpha", gate))
        world.responses.wait_for_gate(gate)
        sapwood.kill()
        self.compare(since, when)
        world.files_are_sound(f"{when}, killed")


def of_codex(world):
    tree = Tree(world)
    for n in range(ROUNDS):
        tree.codex(n)
        tree.sapwood(n)


def of_sapwood(world):
    tree = Tree(world)
    for n in range(ROUNDS):
        tree.sapwood(n)
        tree.codex(n)

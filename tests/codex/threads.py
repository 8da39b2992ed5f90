"""One thread, in turns: a program works, is killed in the middle of its next turn, and the other one goes on."""

from responses import plan

ROUNDS = 3


def work(name):
    return [{"call": ["", "exec_command", {"cmd": f"echo {name}"}]}, {"say": f"this was {name}"}]


class Thread:
    def __init__(self, world):
        self.world, self.id, self.last = world, None, None

    def begun(self, since, when):
        """Compares the first request of a program with the last one of the other."""
        requests = self.world.responses.of(self.id, since)
        if self.last is not None:
            self.world.goes_on(self.last, requests[0], when)
        self.last = self.world.responses.of(self.id)[-1]

    def codex(self, n, in_tool):
        """A turn of Codex, then half a turn."""
        world, when, since = self.world, f"round {n}, codex", self.world.responses.count()
        if self.id is not None:
            world.rebuild(self.id, f"before {when}")
            since = world.responses.count()
        codex = world.codex()
        if self.id is None:
            self.id = codex.start()["id"]
        else:
            world.codex_shows(self.id, codex.resume(self.id), when)
        codex.turn(self.id, plan(*work(f"codex {n}")))
        world.codex_skipped_ours([self.id], when)
        world.interrupt(lambda step: codex.say(self.id, plan(step)), lambda _: codex.kill(), in_tool, "codex")
        self.begun(since, when)
        world.files_are_sound(when)

    def sapwood(self, n, in_tool):
        """A turn of ours, then half a turn."""
        world, when, since = self.world, f"round {n}, sapwood", self.world.responses.count()
        if self.id is not None:
            world.rebuild(self.id, f"before {when}")
            since = world.responses.count()
            world.resume(self.id, *work(f"sapwood {n}")).ended()
        else:
            self.id = world.sapwood(plan(*work(f"sapwood {n}"))).ended().thread()
        world.files_are_sound(when)
        world.interrupt(lambda step: world.resume(self.id, step), lambda sapwood: sapwood.kill(), in_tool, "sapwood")
        self.begun(since, when)
        world.files_are_sound(f"{when}, killed")


def alternate(world, first):
    """Three rounds; killed while streaming and inside a tool, by turns."""
    thread = Thread(world)
    steps = [thread.codex, thread.sapwood] if first == "codex" else [thread.sapwood, thread.codex]
    for n in range(ROUNDS):
        steps[0](n, n % 2 == 0)
        steps[1](n, n % 2 == 1)
    # Once more each, to see what the last kill left.
    steps[0](ROUNDS, False)
    steps[1](ROUNDS, True)


def torn_tail(world):
    """A line that lacks its end: both go on behind it."""
    thread = Thread(world)
    thread.codex(0, False)
    for n, step in enumerate([thread.sapwood, thread.codex, thread.sapwood], 1):
        path = world.rollout(thread.id).path
        with open(path, "ab") as file:
            file.write(b'{"timestamp":"2026-01-01T00:00:00.000Z","ordinal":9')
        world.torn += 1
        step(n, False)

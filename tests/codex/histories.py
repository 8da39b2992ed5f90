"""Histories of other shapes: one program makes them, and both rebuild them and go on."""

import signal

from responses import plan

IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PATCH = "*** Begin Patch\n*** Add File: {}\n+one\n*** End Patch\n"


def both_go_on(world, thread, when):
    """Sapwood, Codex, and sapwood once more; each from the same prompt as the other would."""
    for n, program in enumerate(("sapwood", "codex", "sapwood")):
        now = f"{when}, turn {n} by {program}"
        world.rebuild(thread, f"before {now}")
        before = world.last(thread)
        steps = [{"call": ["", "exec_command", {"cmd": f"echo {n}"}], "think": "a command"}, {"say": now}]
        since = world.responses.count()
        if program == "sapwood":
            world.resume(thread, *steps).ended()
        else:
            codex = world.codex()
            world.codex_shows(thread, codex.resume(thread), now)
            codex.turn(thread, plan(*steps))
            codex.end()
            world.codex_skipped_ours([thread], now)
        world.goes_on(before, world.responses.of(thread, since)[0], now)
        world.files_are_sound(now)


def items(world):
    """Reasoning, a custom tool, a call that is unknown, a message beside a call, an image."""
    codex = world.codex()
    thread = codex.start()["id"]
    steps = [
        {"custom": ["apply_patch", PATCH.format("a.txt")], "think": "a patch"},
        {"custom": ["apply_patch", "no patch"]},
        {"call": ["", "no_such_tool", {}], "say": "let me see"},
        {"call": ["nowhere", "exec_command", {"cmd": "true"}]},
        {"calls": [["", "exec_command", {"cmd": "echo one"}], ["", "exec_command", {"cmd": "exit 3"}]]},
        {"say": "é ☃ 𝄞 \u2028 \u0000 \\u0041 </turn_aborted>", "think": "words"},
    ]
    codex.turn(thread, plan(*steps), {"type": "image", "url": IMAGE})
    codex.end()
    both_go_on(world, thread, "items of codex")
    thread = world.sapwood(plan(*steps)).ended().thread()
    both_go_on(world, thread, "items of sapwood")


def interrupts(world):
    """A turn that somebody interrupts, while it streams and inside a tool."""
    for in_tool in (False, True):
        when = f"interrupted {'inside a tool' if in_tool else 'while it streams'}"
        codex = world.codex()
        thread = codex.start()["id"]

        def stop(turn):
            codex.ask("turn/interrupt", threadId=thread, turnId=turn)
            codex.wait_for("turn/completed", threadId=thread)

        world.interrupt(lambda step: codex.say(thread, plan(step)), stop, in_tool, "codex")
        codex.end()
        both_go_on(world, thread, f"{when}, codex")

        def stop(sapwood):
            sapwood.process.send_signal(signal.SIGINT)
            sapwood.wait()

        thread = world.sapwood(plan({"say": "begun"})).ended().thread()
        world.interrupt(lambda step: world.resume(thread, step), stop, in_tool, "sapwood")
        both_go_on(world, thread, f"{when}, sapwood")


def parallel_calls(world):
    """Killed while one of three calls runs; whatever is answered stays answered."""
    for place in range(3):

        def three(step):
            calls = [["", "exec_command", {"cmd": f"echo {n}"}] for n in range(2)]
            calls.insert(place, step["call"])
            return {"calls": calls}

        codex = world.codex()
        thread = codex.start()["id"]
        world.interrupt(lambda step: codex.say(thread, plan(three(step))), lambda _: codex.kill(), True, "codex")
        both_go_on(world, thread, f"call {place} of codex")
        thread = world.sapwood(plan({"say": "begun"})).ended().thread()
        world.interrupt(lambda step: world.resume(thread, three(step)), lambda s: s.kill(), True, "sapwood")
        both_go_on(world, thread, f"call {place} of sapwood")


def compaction(world):
    """Codex replaces the history by a summary, of its own turns and of ours."""
    thread = world.sapwood(plan({"say": "before"})).ended().thread()
    codex = world.codex()
    codex.resume(thread)
    codex.turn(thread, plan({"say": "before, too"}))
    codex.notifications.clear()
    codex.ask("thread/compact/start", threadId=thread)
    codex.wait_for("turn/completed", threadId=thread)
    codex.turn(thread, plan({"say": "after"}))
    codex.end()
    both_go_on(world, thread, "compacted")


def fork(world):
    """Codex forks a thread with turns of both; the fork and its source go on."""
    source = world.sapwood(plan({"say": "one"})).ended().thread()
    codex = world.codex()
    codex.resume(source)
    codex.turn(source, plan({"say": "two"}))
    codex.end()
    world.resume(source, {"say": "three"}).ended()
    codex = world.codex()
    codex.resume(source)
    turns = list(world.rollout(source).turns())
    whole = codex.ask("thread/fork", threadId=source)["thread"]["id"]
    part = codex.ask("thread/fork", threadId=source, lastTurnId=turns[1])["thread"]["id"]
    for forked in (whole, part):
        codex.turn(forked, plan({"say": "forked"}))
    codex.end()
    for thread, name in ((whole, "a fork"), (part, "a fork through its second turn"), (source, "the source of a fork")):
        both_go_on(world, thread, name)


def legacy(world):
    """A thread of the older mode stays in it."""
    codex = world.codex()
    thread = codex.start(historyMode="legacy")["id"]
    codex.turn(thread, plan({"call": ["", "exec_command", {"cmd": "echo legacy"}], "think": "so"}, {"say": "one"}))
    world.interrupt(lambda step: codex.say(thread, plan(step)), lambda _: codex.kill(), True, "codex")
    both_go_on(world, thread, "legacy")
    world.interrupt(lambda step: world.resume(thread, step), lambda sapwood: sapwood.kill(), True, "sapwood")
    both_go_on(world, thread, "legacy, killed")
    rollout = world.rollout(thread)
    world.report.expect(rollout.is_legacy(), "a legacy rollout stays legacy", str(rollout.meta())[:200])

"""Both at the same time: the lock decides, and the loser is told who holds the thread."""

from responses import plan


def untouched(world, thread, what, do):
    before = world.rollout(thread).bytes
    result = do()
    world.report.expect(world.rollout(thread).bytes == before, "the loser touches nothing", what)
    return result


def sapwood_is_refused(world, thread, codex, when):
    asked = world.responses.count()
    sapwood = untouched(world, thread, when, lambda: world.resume(thread, {"say": "no"}).wait())
    said = sapwood.read(sapwood.err)
    world.report.expect(sapwood.process.returncode != 0, "sapwood refuses a thread that Codex holds", when)
    named = str(codex.process.pid) in said and "codex" in said.replace(str(world.home.folder), "")
    world.report.expect(named, "sapwood names process and program of the holder", f"{when}: {said}")
    world.report.expect(world.responses.count() == asked, "the loser asks no model", when)


def the_loser_is_told(world):
    codex = world.codex()
    thread = codex.start()["id"]
    codex.turn(thread, plan({"say": "codex was here"}))
    sapwood_is_refused(world, thread, codex, "codex holds an idle thread")
    codex.say(thread, plan({"hang": "codex works"}))
    world.responses.wait_for_gate("codex works")
    sapwood_is_refused(world, thread, codex, "codex is in a turn")
    codex.kill()
    world.resume(thread, {"say": "after a kill of codex"}).ended()

    sapwood = world.resume(thread, {"hang": "sapwood works"})
    world.responses.wait_for_gate("sapwood works")
    codex = world.codex()
    answer = untouched(world, thread, "sapwood works", lambda: codex.call("thread/resume", threadId=thread))
    error = answer.get("error", {}).get("message", "")
    world.report.expect("already has an active writer" in error, "Codex refuses a thread that sapwood holds", str(answer)[:300])
    sapwood.kill()
    codex.resume(thread)
    codex.turn(thread, plan({"say": "after a kill of sapwood"}))
    sapwood_is_refused(world, thread, codex, "codex has it again")
    codex.end()
    world.resume(thread, {"say": "after codex ended"}).ended()
    world.files_are_sound("at the end")


ROUNDS = 10


def race(world):
    """Both reach for the thread at the same moment: whoever has it works, the other one says so, and no turn is mixed."""
    thread = world.sapwood(plan({"say": "begun"})).ended().thread()
    for n in range(ROUNDS):
        codex = world.codex()
        sapwood = world.resume(thread, {"call": ["", "exec_command", {"cmd": f"echo {n}"}]}, {"say": f"sapwood {n}"})
        answer = codex.call("thread/resume", threadId=thread)
        got_it = "result" in answer
        if got_it:
            codex.turn(thread, plan({"say": f"codex {n}"}))
        else:
            said = answer["error"]["message"]
            world.report.expect("already has an active writer" in said, "Codex refuses a thread that sapwood holds", said)
        sapwood.wait()
        won = sapwood.process.returncode == 0
        said = sapwood.read(sapwood.err)
        world.report.expect(won or str(codex.process.pid) in said, "sapwood says who was there first", f"round {n}: {said}")
        world.report.expect(won or got_it, "one of both gets the thread", f"round {n}: {answer} / {said}")
        codex.end()
        world.files_are_sound(f"round {n}")
    ends = world.rollout(thread).turns()
    world.report.expect(set(ends.values()) == {"completed"}, "no turn is lost in a race", str(ends))

"""What Codex keeps of a thread beside its rollout is taken over when we first write there, once."""

from responses import plan


def once(world, thread, rule, holds):
    """The thread is resumed by us, by Codex, and by us again: one `sapwood.adopted`."""
    world.resume(thread, {"say": "first"}).ended()
    codex = world.codex()
    codex.resume(thread)
    codex.end()
    world.resume(thread, {"say": "second"}).ended()
    adopted = world.rollout(thread).own("adopted")
    world.report.expect(len(adopted) == 1 and holds(adopted[0]), rule, f"adopted: {adopted}")
    world.files_are_sound("at the end")


def goal(world):
    codex = world.codex()
    thread = codex.start()["id"]
    codex.turn(thread, plan({"say": "hello"}))
    codex.ask("thread/goal/set", threadId=thread, objective="Count to three", status="paused", tokenBudget=9000)
    codex.end()

    def holds(adopted):
        goal = adopted.get("goal") or {}
        return (goal.get("objective"), goal.get("status"), goal.get("tokenBudget")) == ("Count to three", "paused", 9000)

    once(world, thread, "a goal is taken over once", holds)


def queue(world):
    codex = world.codex()
    thread = codex.start()["id"]
    codex.say(thread, plan({"hang": "busy"}))
    world.responses.wait_for_gate("busy")
    text = plan({"say": "from the queue"})
    item = {"type": "text", "text": text}
    added = codex.ask("thread/queue/add", threadId=thread, clientUserMessageId="queued-1", input=[item])
    queued = added["queuedSubmission"]["id"]
    codex.kill()
    world.resume(thread, {"say": "first"}).ended()
    world.resume(thread, {"say": "second"}).ended()
    rollout = world.rollout(thread)
    accepted = [line for line in rollout.own("accepted") if line["id"] == f"codex-queue:{queued}"]
    world.report.expect(len(accepted) == 1, "a queued message is taken over once", f"{queued}: {accepted}")
    items = [record["payload"] for record in rollout.records() if record["type"] == "response_item"]
    said = [item for item in items if text in str(item.get("content"))]
    world.report.expect(len(said) == 1, "a queued message is said once", f"{len(said)} times")
    world.files_are_sound("at the end")


def closed(world):
    """Two children of the older tools; one is closed."""

    def call(name, **args):
        return {"call": ["multi_agent_v1", name, args]}

    codex = world.codex()
    thread = codex.start()["id"]
    spawned = call("spawn_agent", message=plan({"say": "a child"}))
    waited = call("wait_agent", targets=["$AGENT"], timeout_ms=15000)
    codex.turn(thread, plan(spawned, waited, call("close_agent", target="$AGENT"), spawned, {"say": "one is closed"}))
    outputs = [item for item in world.responses.of(thread)[-1].input if "previous_status" in str(item.get("output"))]
    world.report.expect(len(outputs) == 1, "Codex closes a child", "no answer of close_agent")
    codex.end()
    items = world.responses.of(thread)[-1].input
    child = next(request for request in world.responses.requests if request.thread != thread).thread
    world.report.expect(child in str(items), "the first child is the closed one", child)
    once(world, thread, "a closed child is taken over once", lambda adopted: adopted.get("closed") == [child])

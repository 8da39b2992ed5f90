"""The contract of the Python SDK, driven by the SDK itself. See README.md."""

import faulthandler
import os
import pathlib
import queue
import shutil
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests/codex"))

from openai_codex import ApprovalMode, Codex, CodexConfig, Sandbox  # noqa: E402
from openai_codex.api import TurnHandle  # noqa: E402
from openai_codex.client import CodexClient  # noqa: E402
from openai_codex.errors import InvalidRequestError  # noqa: E402

from responses import Responses, plan  # noqa: E402

PROGRAM = os.environ.get("SDK_PROGRAM", str(ROOT / "target/debug/sapwood"))
# A test that takes longer waits for what does not come: where it waits is printed, and the run ends.
PATIENCE_S = 60

CONFIG = """model = "gpt-5.5"
model_provider = "loopback"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
shell_snapshot = false
plugins = false
apps = false
memories = false
[model_providers.loopback]
name = "loopback"
base_url = "{base_url}"
wire_api = "responses"
requires_openai_auth = false
request_max_retries = 0
stream_max_retries = 0
supports_websockets = false
"""


class World(unittest.TestCase):
    """A home, a folder and a model of its own for each test."""

    def setUp(self):
        faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sapwood-sdk-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home, self.work = self.folder / "home", self.folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        self.model = Responses()
        self.addCleanup(self.model.__exit__)
        (self.home / "config.toml").write_text(CONFIG.format(base_url=self.model.base_url))

    def config(self):
        own = {"HOME": str(self.folder), "CODEX_HOME": str(self.home), "SAPWOOD_HOME": str(self.home), "TZ": "UTC"}
        return CodexConfig(codex_bin=PROGRAM, cwd=str(self.work), env=own | {"SAPWOOD_SYSTEM_CONFIG": ""})


def value(thing):
    """What an enumeration of the SDK's says on the wire."""
    return getattr(thing, "value", thing)


def kinds(items):
    return [item.root.type for item in items]


class SessionTest(World):
    """The class that people use: `Codex`."""

    def setUp(self):
        super().setUp()
        self.codex = Codex(self.config())
        self.addCleanup(self.codex.close)

    def thread(self, **more):
        options = {"approval_mode": ApprovalMode.deny_all, "sandbox": Sandbox.full_access, "cwd": str(self.work)}
        return self.codex.thread_start(**options | more)

    def say(self, thread, text):
        return thread.run(plan({"say": text}))

    def turns(self, thread):
        return thread.read(include_turns=True).thread.turns

    def said(self, thread):
        """The agent's messages of each turn."""
        return [[i.root.text for i in turn.items if i.root.type == "agentMessage"] for turn in self.turns(thread)]

    def test_metadata(self):
        self.assertRegex(self.codex.metadata.userAgent, r"^[^/ ]+/\d+\.\d+\.\d+")
        models = self.codex.models().data
        self.assertEqual([m.id for m in models if m.is_default], [models[0].id])
        self.assertIs(self.codex.account().account, None)

    def test_run(self):
        thread = self.thread()
        result = self.say(thread, "Hello from the model.")
        self.assertEqual((value(result.status), result.final_response, result.error), ("completed", "Hello from the model.", None))
        self.assertEqual(kinds(result.items), ["userMessage", "agentMessage"])
        self.assertEqual((result.usage.last.input_tokens, result.usage.last.output_tokens), (10, 5))
        self.assertEqual(self.say(thread, "Again.").usage.total.total_tokens, 30)
        self.assertEqual(self.said(thread), [["Hello from the model."], ["Again."]])

    def test_stream(self):
        self.model.open("now")
        turn = self.thread().turn(plan({"think": "Let me see.", "say": "one two three", "hold": "now"}))
        events = list(turn.stream())
        deltas = [e.payload.delta for e in events if e.method == "item/agentMessage/delta"]
        # Neighbouring deltas may come as one.
        self.assertEqual("".join(deltas), "one two three")
        whole = [(e.method, e.payload.item.root.type) for e in events if e.method.startswith("item/") and hasattr(e.payload, "item")]
        each = [(f"item/{what}", item) for item in ("userMessage", "reasoning", "agentMessage") for what in ("started", "completed")]
        self.assertEqual(whole, each)
        ends = [e.method for e in events if e.method.startswith("turn/") and e.method in ("turn/started", "turn/completed")]
        self.assertEqual((ends, events[-1].method), (["turn/started", "turn/completed"], "turn/completed"))

    def test_command(self):
        result = self.thread().run(plan({"call": ["", "exec_command", {"cmd": "echo it works"}]}, {"say": "Done."}))
        self.assertEqual((result.final_response, kinds(result.items)), ("Done.", ["userMessage", "commandExecution", "agentMessage"]))
        command = result.items[1].root
        self.assertEqual((value(command.status), command.exit_code, command.aggregated_output), ("completed", 0, "it works\n"))

    def test_steer(self):
        thread = self.thread()
        turn = thread.turn(plan({"say": "first answer", "hold": "steered"}))
        self.model.wait_for_gate("steered")
        self.assertEqual(turn.steer(plan({"say": "second answer"})).turn_id, turn.id)
        self.model.open("steered")
        result = turn.run()
        self.assertEqual((value(result.status), result.final_response), ("completed", "second answer"))
        # The answer that was under way is dropped.
        self.assertEqual(kinds(result.items), ["userMessage", "userMessage", "agentMessage"])
        self.assertEqual([kind for kind in kinds(self.turns(thread)[0].items) if kind == "userMessage"], ["userMessage"] * 2)
        self.assertEqual(self.said(thread)[0][-1], "second answer")

    def test_interrupt(self):
        thread = self.thread()
        turn = thread.turn(plan({"hang": "begun"}))
        self.model.wait_for_gate("begun")
        turn.interrupt()
        result = turn.run()
        # Of an answer that is broken off no item is complete.
        self.assertEqual((value(result.status), kinds(result.items)), ("interrupted", ["userMessage"]))
        self.assertEqual(self.say(thread, "Still here.").final_response, "Still here.")
        self.assertEqual([value(turn.status) for turn in self.turns(thread)], ["interrupted", "completed"])

    def test_interrupt_of_a_command(self):
        thread = self.thread()
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        turn = thread.turn(plan({"call": ["", "exec_command", {"cmd": f"echo $$ > {fifo}; exec sleep 600", "yield_time_ms": 30000}]}))
        with open(fifo) as started:
            watch = os.pidfd_open(int(started.readline()))
        turn.interrupt()
        self.assertEqual(value(turn.run().status), "interrupted")
        os.close(watch)
        self.assertEqual(self.say(thread, "Still here.").final_response, "Still here.")

    def test_failed_turn(self):
        thread = self.thread()
        with self.assertRaisesRegex(Exception, "out of ideas"):
            thread.run(plan({"fail": "out of ideas"}))
        self.assertEqual(self.say(thread, "Better.").final_response, "Better.")
        self.assertEqual([value(turn.status) for turn in self.turns(thread)], ["failed", "completed"])

    def test_list_name_archive(self):
        older, newer = self.thread(), self.thread()
        self.say(older, "older")
        self.say(newer, "newer")
        older.set_name("The older one")
        both = self.codex.thread_list(cwd=str(self.work))
        self.assertEqual({t.id: t.name for t in both.data}, {older.id: "The older one", newer.id: None})
        self.assertIs(both.next_cursor, None)
        first = self.codex.thread_list(limit=1)
        second = self.codex.thread_list(limit=1, cursor=first.next_cursor)
        self.assertEqual({t.id for t in [*first.data, *second.data]}, {older.id, newer.id})
        self.codex.thread_archive(older.id)
        self.assertEqual([t.id for t in self.codex.thread_list().data], [newer.id])
        self.assertEqual([t.id for t in self.codex.thread_list(archived=True).data], [older.id])
        self.assertEqual(self.codex.thread_unarchive(older.id).id, older.id)
        self.assertEqual({t.id for t in self.codex.thread_list().data}, {older.id, newer.id})

    def test_fork(self):
        thread = self.thread()
        self.say(thread, "before")
        fork = self.codex.thread_fork(thread.id)
        self.assertNotEqual(fork.id, thread.id)
        self.say(fork, "in the fork")
        self.say(thread, "in the source")
        self.assertEqual(self.said(fork), [["before"], ["in the fork"]])
        self.assertEqual(self.said(thread), [["before"], ["in the source"]])
        self.assertEqual(fork.read().thread.forked_from_id, thread.id)

    def test_resume_in_another_process(self):
        thread = self.thread()
        self.say(thread, "before")
        self.codex.close()
        with Codex(self.config()) as codex:
            self.assertEqual(self.said_by(codex, thread.id), [["before"]])
            resumed = codex.thread_resume(thread.id)
            self.assertEqual(resumed.id, thread.id)
            self.assertEqual(self.say(resumed, "after").final_response, "after")
            self.assertEqual(self.said(resumed), [["before"], ["after"]])
        prompt = [item for item in self.model.requests[-1].input if item.get("role") == "assistant"]
        self.assertEqual([part["text"] for item in prompt for part in item["content"]], ["before"])

    def said_by(self, codex, thread):
        """The same of a thread that is read without being loaded."""
        turns = codex._client.thread_read(thread, include_turns=True).thread.turns
        return [[i.root.text for i in turn.items if i.root.type == "agentMessage"] for turn in turns]

    def test_unknown_thread(self):
        for act in (self.codex.thread_resume, self.codex.thread_fork, self.codex.thread_archive):
            with self.assertRaises(InvalidRequestError) as error:
                act("0190aaaa-0000-7000-8000-000000000000")
            self.assertIn("no rollout found for thread id 0190aaaa-0000-7000-8000-000000000000", str(error.exception))

    def test_compact(self):
        thread = self.thread()
        self.say(thread, "before")
        try:
            thread.compact()
        except InvalidRequestError as error:
            if "unknown variant `thread/compact/start`" not in str(error):
                raise
            self.skipTest("this server has no thread/compact/start yet")
        # The turn belongs to no handle; the status of its thread is for the whole connection.
        events = iter(self.codex._client.next_notification, None)
        statuses = (event.payload.status.root.type for event in events if event.method == "thread/status/changed")
        self.assertEqual([value(next(statuses)) for _ in range(4)], ["active", "idle"] * 2)
        self.assertEqual(kinds(self.turns(thread)[-1].items), ["contextCompaction"])


class ApprovalTest(World):
    """`CodexClient`: the only one that can be asked."""

    def setUp(self):
        super().setUp()
        self.asked, self.decisions = queue.Queue(), queue.Queue()
        self.client = CodexClient(self.config(), approval_handler=self.answer)
        self.client.start()
        self.addCleanup(self.client.close)
        self.client.initialize()
        self.runs = self.work / "runs"

    def answer(self, method, params):
        self.asked.put((method, params))
        return self.decisions.get(timeout=PATIENCE_S)

    def start(self, **more):
        options = {"cwd": str(self.work), "approvalPolicy": "on-request", "sandbox": "workspace-write"}
        return self.client.thread_start(options | more).thread.id

    def turn(self, thread, *steps):
        """A whole turn: how it ended, and its items as they were completed."""
        turn = self.client.turn_start(thread, plan(*steps)).turn.id
        events = list(TurnHandle(self.client, thread, turn).stream())
        items = [event.payload.item for event in events if event.method == "item/completed"]
        return value(events[-1].payload.turn.status), items

    def command(self, name="run"):
        """A step that asks for a command that leaves a line."""
        args = {"cmd": f"echo {name} >> {self.runs}", "sandbox_permissions": "require_escalated", "justification": "May I?"}
        return {"call": ["", "exec_command", args]}

    def ran(self):
        return self.runs.read_text().split() if self.runs.exists() else []

    def commands(self, items):
        return [value(item.root.status) for item in items if item.root.type == "commandExecution"]

    def decide(self, decision):
        self.decisions.put({"decision": decision})

    def test_accept(self):
        self.decide("accept")
        thread = self.start()
        status, items = self.turn(thread, self.command(), {"say": "Done."})
        self.assertEqual((status, self.commands(items), self.ran()), ("completed", ["completed"], ["run"]))
        method, params = self.asked.get_nowait()
        self.assertEqual((method, params["threadId"], params["reason"]), ("item/commandExecution/requestApproval", thread, "May I?"))
        self.assertEqual(params["cwd"], str(self.work))
        self.assertIn(f"echo run >> {self.runs}", params["command"])
        self.assertTrue(self.asked.empty())

    def test_decline(self):
        self.decide("decline")
        status, items = self.turn(self.start(), self.command(), {"say": "Then not."})
        self.assertEqual((status, self.commands(items), self.ran()), ("completed", ["declined"], []))
        self.assertEqual(items[-1].root.text, "Then not.")

    def test_cancel(self):
        self.decide("cancel")
        thread = self.start()
        status, items = self.turn(thread, self.command(), {"say": "Never said."})
        self.assertEqual((status, self.commands(items), self.ran()), ("interrupted", ["declined"], []))
        self.assertEqual(self.turn(thread, {"say": "Still here."})[0], "completed")

    def test_accept_for_session(self):
        self.decide("acceptForSession")
        thread = self.start()
        self.turn(thread, self.command(), {"say": "Done."})
        status, items = self.turn(thread, self.command(), {"say": "Done again."})
        self.assertEqual((status, self.commands(items), self.ran()), ("completed", ["completed"], ["run", "run"]))
        self.asked.get_nowait()
        self.assertTrue(self.asked.empty(), "asked once for the session")

    def test_patch(self):
        patch = f"*** Begin Patch\n*** Add File: {self.work}/new.txt\n+hello\n*** End Patch"
        thread = self.start(sandbox="read-only")
        for n, (decision, status, there) in enumerate([("decline", "declined", False), ("accept", "completed", True)]):
            self.decide(decision)
            ended, items = self.turn(thread, {"custom": ["apply_patch", patch]}, {"say": "Well."})
            changes = [value(item.root.status) for item in items if item.root.type == "fileChange"]
            self.assertEqual((ended, changes, (self.work / "new.txt").exists()), ("completed", [status], there), n)
            self.assertEqual(self.asked.get_nowait()[0], "item/fileChange/requestApproval")


if __name__ == "__main__":
    # The SDK leaves its pipes to the end of the process.
    unittest.main(verbosity=2, warnings="ignore")

"""What a rollout looks like from outside: lines, ordinals, offsets."""

import json
import re


class Rollout:
    """The lines of one file; a torn one has no record."""

    def __init__(self, path):
        self.path, self.lines, at = path, [], 0
        self.bytes = path.read_bytes()
        for line in self.bytes.splitlines(keepends=True):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if line.strip():
                self.lines.append((at, record))
            at += len(line)

    def records(self):
        return [record for _, record in self.lines if record is not None]

    def meta(self):
        return self.records()[0]["payload"]

    def is_legacy(self):
        return self.meta().get("history_mode", "legacy") == "legacy"

    def ours(self):
        """The offsets of our own lines."""
        return {at for at, record in self.lines if record and record["type"].startswith("sapwood.")}

    def torn(self):
        return [at for at, record in self.lines if record is None]

    def own(self, kind):
        """The payloads of our own lines of one kind."""
        return [record["payload"] for record in self.records() if record["type"] == f"sapwood.{kind}"]

    def problems(self, torn_allowed=0):
        """What is wrong with the file, in words."""
        found, base = [], self.meta().get("history_base") or {}
        expected, after_torn = base.get("end_ordinal_exclusive", 0), False
        if len(self.torn()) > torn_allowed:
            found.append(f"{len(self.torn())} lines are no JSON, at {self.torn()}")
        for at, record in self.lines:
            if record is None:
                after_torn = True
                continue
            ordinal = record.get("ordinal")
            if record["type"].startswith("sapwood."):
                if ordinal is not None:
                    found.append(f"our line at {at} has an ordinal")
                continue
            if self.is_legacy():
                if ordinal is not None:
                    found.append(f"the line at {at} has an ordinal, and the file is a legacy one")
                continue
            if ordinal != expected and not (after_torn and ordinal == expected + 1):
                found.append(f"the line at {at} ({record['type']}) has ordinal {ordinal}, not {expected}")
            expected, after_torn = (expected if ordinal is None else ordinal) + 1, False
        return found

    def turns(self):
        """The thread's own turns and how each ended; one that never did counts as interrupted."""
        turns, start = {}, self.meta().get("subagent_history_start_ordinal") or 0
        for record in (record for record in self.records() if record.get("ordinal", start) >= start):
            payload = record["payload"]
            kind = payload.get("type") if record["type"] == "event_msg" else None
            if kind == "task_started":
                turns[payload["turn_id"]] = "interrupted"
            elif kind == "task_complete" and payload["turn_id"] in turns:
                turns[payload["turn_id"]] = "failed" if payload.get("error") else "completed"
        return turns


def rollouts(home):
    """Every rollout of a home, by thread."""
    files = sorted((home / "sessions").rglob("rollout-*.jsonl"))
    return {re.search(r"([0-9a-f-]{36})\.jsonl$", path.name)[1]: Rollout(path) for path in files}


def prompt(request):
    """The history in a request: its input without the instructions before it, and without what is no part of an item."""
    items = [{k: v for k, v in item.items() if k != "internal_chat_message_metadata_passthrough"} for item in request.input]
    return items[1:] if items and items[0].get("role") == "developer" and len(items) > 1 else items


def difference(left, right):
    """Where two histories part, in words; nothing if they do not."""
    for n, (a, b) in enumerate(zip(left, right)):
        if a != b:
            return f"item {n}: {json.dumps(a)[:300]} / {json.dumps(b)[:300]}"
    if len(left) != len(right):
        longer, n = (left, len(right)) if len(left) > len(right) else (right, len(left))
        return f"{len(left)} / {len(right)} items; the first too many: {json.dumps(longer[n])[:300]}"
    return None

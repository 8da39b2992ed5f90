#!/usr/bin/env python3
"""Breaks sapwood-mailbox in one way at a time; some model must notice each.

    loom-tests/mutants.py            all of them
    loom-tests/mutants.py ring cap   those whose name contains one of the words

Works on a copy in a temporary folder. A mutant is killed when the loom suite fails on it, by an
assertion, a deadlock or an abort; it survives when the suite passes. One that does not compile, or
whose text is not found exactly once, is a fault of this list. Exit status 1 on either.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAULT = "does not compile"
SUITE_LIMIT_S = 300  # the unbroken suite takes a second; a break may make a model endless

# (name, file below mailbox/src, text, text instead)
MUTANTS = [
    # The doorbell.
    ("a send rings nobody", "state.rs",
     "        (seq, self.ring())", "        self.ring();\n        (seq, None)"),
    ("every send rings", "state.rs",
     ".filter(|occupant| !occupant.rung)?", ".filter(|_| true)?"),
    ("a ring is not remembered", "state.rs",
     "        occupant.rung = true;\n        Some", "        Some"),
    ("a lease forgets the doorbell it announces", "state.rs",
     "occupant.rung = more;", "occupant.rung = false;"),
    ("a lease never answers the doorbell", "state.rs",
     "occupant.rung = more;", "occupant.rung = true;"),
    ("a lease does not say that something is left", "state.rs",
     "        }\n        more\n", "        }\n        false\n"),
    ("attach does not ring", "mailbox.rs",
     "        ring(Some(bell));\n", "        drop(bell);\n"),
    ("attach rings, and a send rings again", "state.rs",
     "rung: true,", "rung: false,"),
    ("a permit's message rings nobody", "permit.rs",
     "        ring(bell);\n", "        drop(bell);\n"),
    ("taking one lane answers the doorbell", "state.rs",
     "        self.ageing.served(lane.index());\n",
     "        self.ageing.served(lane.index());\n"
     "        if let Some(o) = &mut self.occupant { o.rung = false; }\n"),
    # Leases, crashes, fencing.
    ("a crash loses what was leased", "state.rs",
     "self.lanes[entry.envelope.lane.index()].push_front(entry);", "drop(entry);"),
    ("redelivered to the back", "state.rs",
     "].push_front(entry);", "].push_back(entry);"),
    ("redelivered in reverse", "state.rs",
     "self.leased.sort_unstable_by_key(|entry| entry.envelope.seq);",
     "self.leased.sort_unstable_by_key(|e| std::cmp::Reverse(e.envelope.seq));"),
    ("an incarnation stays current when replaced", "state.rs",
     "occupant.incarnation == incarnation)", "occupant.incarnation >= incarnation)"),
    ("a replaced incarnation leases", "mailbox.rs",
     "state.is_current(incarnation) && state.lease(max, out)", "state.lease(max, out)"),
    ("a replaced incarnation leases one lane", "mailbox.rs",
     "if state.is_current(incarnation) { state.lease_lane", "if true { state.lease_lane"),
    ("a replaced incarnation begins", "mailbox.rs",
     "state.is_current(incarnation) && state.begin(seq)",
     "(state.is_current(incarnation) || incarnation.get() > 0) && state.begin(seq)"),
    ("a replaced incarnation acks", "mailbox.rs",
     "let acked = if state.is_current(incarnation) {", "let acked = if incarnation.get() > 0 {"),
    ("a replaced incarnation detaches the new one", "mailbox.rs",
     "let occupant = if state.is_current(incarnation) {",
     "let occupant = if incarnation.get() > 0 {"),
    ("the fence and the ack are two steps", "mailbox.rs",
     "        let acked = if state.is_current(incarnation) {",
     "        let fenced = !state.is_current(incarnation);\n        drop(state);\n"
     "        let mut state = self.state();\n        let acked = if !fenced {"),
    ("nobody is blamed for a crash", "state.rs",
     "occupant.begun = Some(seq);", "occupant.begun = None;"),
    ("another is blamed for an acked message", "state.rs",
     "let culprit = begun.and_then(|seq| self.position_leased(seq));",
     "let culprit = begun.and_then(|_| self.leased.len().checked_sub(1));"),
    ("the first leased is blamed, begun or not", "state.rs",
     "let culprit = begun.and_then(|seq| self.position_leased(seq));",
     "let culprit = (begun.is_some() || !self.leased.is_empty()).then_some(0);"),
    ("an incarnation falls asleep on a queued message", "state.rs",
     "if !self.leased.is_empty() || !self.is_empty() {", "if !self.leased.is_empty() {"),
    # Order.
    ("a lane is last in, first out", "state.rs",
     "self.lanes[lane].pop_front()", "self.lanes[lane].pop_back()"),
    ("the last lane is served first", "ageing.rs",
     "first = first.or(Some(lane));", "first = Some(lane);"),
    ("coalescing keeps the old word", "state.rs",
     "Ok((seq, std::mem::replace(&mut entry.envelope, newer)))", "Ok((seq, newer))"),
    ("coalescing takes any key", "state.rs",
     "entry.key == Some(key))", "entry.key == Some(key) || entry.key.is_none())"),
    ("coalescing never finds its key", "state.rs",
     "entry.key == Some(key))", "entry.key.is_none() && key.get() == 0)"),
    ("coalescing replaces the older of two", "state.rs",
     ".rposition(", ".position("),
    ("coalescing replaces what was begun", "state.rs",
     "        self.leased[at].key = None;\n", ""),
    # Limits.
    ("the count is not limited", "ledger.rs",
     "if queued >= cap {", "if queued > cap + 1000 {"),
    ("the count is limited one too late", "ledger.rs",
     "if queued >= cap {", "if queued > cap {"),
    ("the bytes are not limited", "ledger.rs",
     "if new > old && new > cap - others {", "if new > old && new > cap {"),
    ("a promise takes no place", "ledger.rs",
     "        self.take(lane, bytes)?;\n        self.reserved",
     "        self.take(lane, bytes)?;\n        self.give_back(lane, bytes);\n        self.reserved"),
    ("a dropped permit keeps its place", "permit.rs",
     "        let mut state = mailbox.state();\n        state.ledger.redeem(self.lane);\n"
     "        state.ledger.give_back(self.lane, self.bytes);\n    }\n}\n\nimpl<M> fmt",
     "        let mut state = mailbox.state();\n        state.ledger.redeem(self.lane);\n"
     "        state.ledger.take(self.lane, 0).ok();\n    }\n}\n\nimpl<M> fmt"),
    ("a dropped permit gives back nothing", "permit.rs",
     "        let mut state = mailbox.state();\n        state.ledger.redeem(self.lane);\n"
     "        state.ledger.give_back(self.lane, self.bytes);\n    }\n}\n\nimpl<M> fmt",
     "        drop(mailbox);\n    }\n}\n\nimpl<M> fmt"),
    ("a resized permit forgets its bytes", "permit.rs",
     "        self.bytes = bytes;\n", ""),
    ("a lease frees the place", "state.rs",
     "        out.push(Arc::clone(&entry.envelope));\n",
     "        self.ledger.give_back(entry.envelope.lane, entry.envelope.bytes);\n"
     "        out.push(Arc::clone(&entry.envelope));\n"),
    ("an ack frees no place", "state.rs",
     "let envelope = self.leased.remove(at).envelope;\n"
     "        self.ledger.give_back(envelope.lane, envelope.bytes);\n",
     "let envelope = self.leased.remove(at).envelope;\n"),
    ("a removal frees no place", "state.rs",
     "        self.ledger.give_back(envelope.lane, envelope.bytes);\n"
     "        Some(envelope)\n    }\n\n    pub(crate) fn set", "        Some(envelope)\n    }\n\n    pub(crate) fn set"),
    # Removing and closing.
    ("a removal leaves the message in", "state.rs",
     "let envelope = self.lanes[lane].remove(at)?.envelope;\n"
     "        self.ledger.give_back(envelope.lane, envelope.bytes);",
     "let envelope = self.lanes[lane].get(at)?.envelope.clone();"),
    ("close keeps what was leased", "state.rs",
     "std::mem::take(&mut self.leased).into_iter()", "Vec::<Entry<M>>::new().into_iter()"),
    ("close does not fence", "state.rs",
     "        (rest, self.occupant.take())", "        (rest, None::<Occupant>)"),
    ("close leaves the mailbox open", "state.rs",
     "        self.closed = true;\n", ""),
    ("close is two steps", "mailbox.rs",
     "        let (rest, occupant) = self.state().close();\n",
     "        let (first, _) = self.state().close();\n        self.state().reopen();\n"
     "        let (mut rest, occupant) = self.state().close();\n        rest.truncate(0);\n"
     "        rest.extend(first);\n"),
    ("a permit delivers after close", "permit.rs",
     "            if state.is_closed() {\n                state.ledger",
     "            if false {\n                state.ledger"),
    ("a permit is refused by a closed lane", "permit.rs",
     "            if state.is_closed() {\n                state.ledger",
     "            if state.check_open(self.lane).is_err() {\n                state.ledger"),
    ("a closed lane takes more", "state.rs",
     "if self.closed || self.closed_lanes[lane.index()] {", "if self.closed {"),
    # What runs under the lock.
    ("an acked message ends under the lock", "mailbox.rs",
     "        drop(state);\n        acked.is_some()", "        acked.is_some()"),
    ("a replaced message ends under the lock", "state.rs",
     "Ok((seq, std::mem::replace(&mut entry.envelope, newer)))",
     "{ entry.envelope = newer.clone(); Ok((seq, newer)) }"),
    ("a bell rings under the lock", "mailbox.rs",
     "            state.push(lane, bytes, None, msg)\n        };\n        ring(bell);",
     "            let (s, b) = state.push(lane, bytes, None, msg);\n"
     "            ring(b);\n            (s, None)\n        };\n        ring(bell);"),
    ("a coalescing sender's bell rings under the lock", "mailbox.rs",
     "            state.push(lane, bytes, Some(key), msg)\n        };",
     "            let (s, b) = state.push(lane, bytes, Some(key), msg);\n"
     "            ring(b);\n            (s, None)\n        };"),
    ("a permit's bell rings under the lock", "permit.rs",
     "            state.push(self.lane, self.bytes, None, msg)\n        };",
     "            let (s, b) = state.push(self.lane, self.bytes, None, msg);\n"
     "            ring(b);\n            (s, None)\n        };"),
    ("a replaced bell ends under the lock", "state.rs",
     "        let begun = old.as_ref().and_then(|occupant| occupant.begun);\n",
     "        let begun = old.as_ref().and_then(|occupant| occupant.begun);\n"
     "        let old = { drop(old); None::<Occupant> };\n"),
    ("a detached bell ends under the lock", "mailbox.rs",
     "        drop(state);\n        occupant.is_some()", "        occupant.is_some()"),
    ("a closed mailbox's bell ends under the lock", "state.rs",
     "        (rest, self.occupant.take())", "        self.occupant = None;\n        (rest, ())"),
    # The commit core.
    ("an old epoch appends", "commit.rs",
     "if epoch.0 != inner.epoch {", "if epoch.0 > inner.epoch {"),
    ("the epoch is checked before the lock of the write", "commit.rs",
     "current: Epoch(inner.epoch) });\n        }\n",
     "current: Epoch(inner.epoch) });\n        }\n        drop(inner);\n        let mut inner = self.inner.lock();\n"),
    ("a fence makes no new epoch", "commit.rs",
     "        inner.epoch += 1;\n", "        inner.epoch = 1;\n"),
    ("an epoch is given out in two steps", "commit.rs",
     "        inner.epoch += 1;\n        Epoch(inner.epoch)",
     "        inner.epoch += 1;\n        drop(inner);\n        Epoch(self.inner.lock().epoch)"),
    ("an append is not counted", "commit.rs",
     "        inner.watermark.appended += 1;\n", ""),
    ("an admission is counted as an append", "commit.rs",
     "inner.watermark.admitted += 1;", "inner.watermark.appended += 1;"),
    # Children.
    ("the shutdown list is handed out, the set left open", "children.rs",
     "let open = self.open.lock().take();",
     "let open = self.open.lock().replace(Open { last_key: 0, list: Vec::new() });"),
    ("a child that ended stays in the list", "children.rs",
     "        Some(list.remove(at).1)",
     "        let (key, child) = list.remove(at);\n        list.push((key, child));\n        None"),
    ("the number of children is not limited", "children.rs",
     "if open.list.len() >= self.limit {", "if open.list.len() > self.limit {"),
]

# What a mutant may call and the crate does not have: a close that can be taken back.
SCAFFOLD = """
impl<M> State<M> {
    pub(crate) fn reopen(&mut self) {
        self.closed = false;
    }
}
"""


def workspace(at):
    """A workspace of the two crates, with the settings and versions of the real one."""
    for crate in ("mailbox", "loom-tests"):
        shutil.copytree(ROOT / crate, at / crate, ignore=shutil.ignore_patterns("target"))
    settings = (ROOT / "Cargo.toml").read_text()
    shared = settings[settings.index("[workspace.package]"):settings.index("\n[package]")]
    shared += '\n[profile.dev]\nopt-level = 1\ndebug = false\n'
    (at / "Cargo.toml").write_text(
        '[workspace]\nmembers = ["mailbox", "loom-tests"]\nresolver = "3"\n\n' + shared)
    shutil.copy(ROOT / "Cargo.lock", at / "Cargo.lock")


def suite(at):
    """None if the suite passes, else who failed."""
    env = dict(os.environ, RUSTFLAGS="--cfg loom -Awarnings", CARGO_TARGET_DIR=str(at / "target"))
    env.pop("LOOM_MAX_PREEMPTIONS", None)
    command = ["cargo", "test", "--quiet", "-p", "sapwood-loom-tests", "--tests", "--no-fail-fast"]
    try:
        run = subprocess.run(
            command, cwd=at, env=env, capture_output=True, text=True, timeout=SUITE_LIMIT_S)
    except subprocess.TimeoutExpired:
        return "endless"
    if run.returncode == 0:
        return None
    text = run.stdout + run.stderr
    if "could not compile" in text or not re.search(r"running \d+ test", text):
        print(text[-3000:], file=sys.stderr)
        return FAULT
    failed = sorted(set(re.findall(r"^    (\w+)$", text, re.M)))
    return ", ".join(failed) or "aborted"


def main():
    words = sys.argv[1:]
    chosen = [m for m in MUTANTS if not words or any(word in m[0] for word in words)]
    for name, file, text, _ in MUTANTS:
        found = (ROOT / "mailbox" / "src" / file).read_text().count(text)
        if found != 1:
            sys.exit(f"{name}: its text is found {found} times in {file}")
    survived = []
    with tempfile.TemporaryDirectory(prefix="sapwood-mutants-") as folder:
        at = pathlib.Path(folder)
        workspace(at)
        failed = suite(at)
        if failed:
            sys.exit(f"the unbroken suite fails: {failed}")
        for name, file, text, instead in chosen:
            path = at / "mailbox" / "src" / file
            sound = path.read_text()
            broken = sound.replace(text, instead)
            scaffold = at / "mailbox" / "src" / "state.rs"
            before = scaffold.read_text()
            path.write_text(broken)
            if ".reopen()" in instead:
                scaffold.write_text(before + SCAFFOLD)
            failed = suite(at)
            path.write_text(sound)
            if ".reopen()" in instead:
                scaffold.write_text(before)
            killed = failed not in (None, FAULT)
            print(f"killed    {name}: {failed}" if killed else f"SURVIVED  {name}: {failed}", flush=True)
            if not killed:
                survived.append(name)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} killed")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()

"""What a person does in the window, and what must be seen."""

import re

READY = r"›"


def begin(world):
    """A window that is ready for a prompt."""
    screen = world.window()
    screen.wait(READY, r"fake-model")
    return screen


def said(screen, text):
    """The agent has said so, and its turn is over."""
    screen.wait(re.escape(text) + r"[\s\S]*Worked for", gone=[r"esc to interrupt"])


def prompt(world):
    """A prompt, an answer that comes in pieces, quit."""
    with begin(world) as screen:
        screen.shot("start")
        screen.say("Tell me of the oak.")
        world.model.wait_for_gate("oak")
        screen.wait(r"• The\b")
        screen.shot("working")
        world.model.open("oak")
        said(screen, "Its roots are deep.")
        screen.shot("answered")
        screen.say("/quit")
        screen.wait_for_end()
        screen.shot("quit")


def approval(world):
    """A command that has to be approved, by key."""
    with begin(world) as screen:
        screen.say("Leave a note.")
        screen.wait(r"Would you like to run the following command", r"May I leave a note", r"echo left >> note\.txt")
        screen.shot("approval")
        world.expect(not world.note.exists(), "nothing runs before it is approved")
        screen.keys("y")
        said(screen, "The note is there.")
        screen.shot("approved")
        world.expect(world.note.read_text() == "left\n", "the command ran once")


def interrupt(world):
    """Esc while it works, and it goes on after."""
    with begin(world) as screen:
        screen.say("Walk without end.")
        world.model.wait_for_gate("walk")
        screen.wait(r"• half a")
        screen.keys("Escape")
        screen.wait(r"Conversation interrupted")
        screen.shot("interrupted")
        screen.say("Are you still there?")
        said(screen, "Yes, I am here.")


def steer(world):
    """What is typed while it works reaches the same turn."""
    with begin(world) as screen:
        screen.say("Count the rings.")
        world.model.wait_for_gate("rings")
        screen.wait(r"• One\b")
        screen.say("And backwards please.")
        screen.shot("steered")
        world.model.open("rings")
        said(screen, "Two rings, one ring.")
        screen.shot("steered-answer")


def subagents(world):
    """A child with a name, and its own conversation."""
    with begin(world) as screen:
        screen.say("Send a scout.")
        said(screen, "The scout is back.")
        screen.shot("spawned")
        screen.say("/subagents")
        # A child's name is its path, or a nickname with its role; never its bare id.
        screen.wait(r"2\. • (/root/scout|[A-Z]\w+ \[\w+\])")
        screen.shot("subagents")
        screen.keys("Down")
        screen.keys("Enter")
        screen.wait(r"All is quiet in the woods\.")
        screen.shot("child")


def fork_and_resume(world):
    """A fork goes its own way, and the first thread is resumed from the list."""
    with begin(world) as screen:
        screen.say("Are you still there?")
        said(screen, "Yes, I am here.")
        screen.say("/fork")
        screen.wait(r"[Ff]orked")
        screen.say("And in the fork?")
        said(screen, "Here the path divides.")
        screen.shot("fork")
        screen.say("/resume")
        screen.wait(r"Resume a previous session", r"Are you still there|Walk in the woods")
        screen.shot("resume")
        screen.keys("Down")
        screen.keys("Enter")
        screen.wait(r"Yes, I am here\.", gone=[r"Resume a previous session", r"Here the path divides\."])
        screen.shot("resumed")


def killed(world):
    """The server is killed in mid-turn and comes back: the same window goes on."""
    with begin(world) as screen:
        screen.say("Are you still there?")
        said(screen, "Yes, I am here.")
        screen.say("Walk without end.")
        world.model.wait_for_gate("walk")
        screen.wait(r"• half a")
        world.server.kill()
        screen.wait(r"[Rr]econnecting|[Dd]isconnected")
        screen.shot("killed")
        world.server.start()
        screen.wait(r"Conversation interrupted", gone=[r"[Rr]econnecting"])
        screen.shot("back")
        screen.say("Tell me of the oak.")
        world.model.open("oak")
        said(screen, "Its roots are deep.")
        screen.shot("goes-on")


SCENES = [prompt, approval, interrupt, steer, subagents, fork_and_resume, killed]

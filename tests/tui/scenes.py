"""What a person does in the window, and what must be seen."""

import re

READY = r"›"
# The name that the model gives each thread, in the line below the prompt.
NAMED = r"~/work · Walk in the woods"


def begin(world):
    """A window that is ready for a prompt."""
    return ready(world.window("--remote", world.server.url))


def ready(screen):
    screen.wait(READY, r"fake-model")
    return screen


def said(screen, text):
    """The agent has said so, and its turn is over."""
    screen.wait(re.escape(text) + r"[\s\S]*Worked for", NAMED, gone=[r"esc to interrupt"])


def prompt(world):
    """A prompt, an answer that comes in pieces, and the end of the window."""
    with begin(world) as screen:
        screen.shot("A new window:")
        screen.say("Tell me of the oak.")
        world.model.wait_for_gate("oak")
        screen.wait(r"• The\b", NAMED)
        screen.shot("The first word of the answer is there, the rest is not:")
        world.model.open("oak")
        said(screen, "Its roots are deep.")
        screen.shot("All of it:")
        screen.say("/quit")
        screen.wait(r"Disconnected from this task", r"Token usage")
        screen.wait_for_end()
        screen.shot("`/quit` ends the window; the server has the thread:", since=r"Disconnected from this task")


def approval(world):
    """A command that leaves the sandbox waits until a person has approved it, here by the key `y`."""
    with begin(world) as screen:
        screen.say("Leave a note.")
        screen.wait(r"Would you like to run the following command", r"May I leave a note", r"echo left >> note\.txt", r"Press enter")
        screen.shot("The question, with the reason that the model gave:")
        world.expect(not world.note.exists(), "nothing runs before it is approved")
        screen.keys("y")
        said(screen, "The note is there.")
        screen.shot("After `y`:")
        world.expect(world.note.read_text() == "left\n", "the command ran once")


def interrupt(world):
    """Esc ends the turn, what was said stays on the screen, and the thread goes on."""
    with begin(world) as screen:
        screen.say("Walk without end.")
        world.model.wait_for_gate("walk")
        screen.wait(r"• half a", NAMED)
        screen.keys("Escape")
        screen.wait(r"• half a", r"Conversation interrupted")
        screen.shot("After Esc:")
        screen.say("Are you still there?")
        said(screen, "Yes, I am here.")
        screen.shot("The next turn:")


def steer(world):
    """What is typed while the model speaks reaches the same turn: it is asked again at once, and what it was saying is dropped."""
    with begin(world) as screen:
        screen.say("Count the rings.")
        world.model.wait_for_gate("rings")
        screen.wait(r"• One\b", NAMED)
        screen.shot("Before, in the middle of an answer:")
        screen.say("And backwards please.")
        said(screen, "Two rings, one ring.")
        screen.shot("After:")
        shown = screen.text()
        world.expect(shown.count("Worked for") == 1, "it is one turn")
        world.expect("two rings." not in shown, "what the model was saying did not go on")


def subagents(world):
    """An agent has two children, one at work and one that is done, and a person looks at both."""
    with begin(world) as screen:
        screen.say("Send two scouts.")
        said(screen, "One of them is back.")
        world.model.wait_for_gate("brook")
        screen.shot("Both have gone, one has come back:")
        screen.say("/subagents")
        # A child's name is its path, or a nickname with its role; never its bare id.
        name = r"(/root/%s|[A-Z]\w+ \[\w+\])"
        # What is said of those at work and the list are drawn one after the other.
        screen.wait(r"Sub-agents running", r"2\. . " + name % "angler", r"3\. . " + name % "ranger", r"enter select")
        screen.shot("`/subagents` knows them by their names:")
        screen.keys("3")
        screen.wait(r"All is quiet in the woods\.", r"Viewing sub-agent", gone=[r"Select an agent"])
        screen.shot("The conversation of the one that is done:")
        screen.keys("M-Left")
        screen.wait(r"• It\b|Working", gone=[r"All is quiet"])
        screen.shot("And of the one at work:")
        world.model.open("brook")
        screen.wait(r"It is full of fish\.", r"Worked for", gone=[r"Working"])
        screen.shot("Which ends while somebody looks:")


def fork_and_resume(world):
    """A fork goes its own way, and the first thread is resumed from the list."""
    with begin(world) as screen:
        screen.say("Are you still there?")
        said(screen, "Yes, I am here.")
        screen.say("/fork")
        screen.wait(r"[Ff]orked")
        screen.say("And in the fork?")
        said(screen, "Here the path divides.")
        screen.shot("After `/fork` and a prompt:")
        screen.say("/resume")
        screen.wait(r"Resume a previous session", r"(Walk in the woods[\s\S]*){2}1 / 2 ", gone=[r"Loading older"])
        screen.shot("`/resume` lists both threads, the newest first:")
        screen.keys("Down")
        screen.keys("Enter")
        screen.wait(r"Yes, I am here\.", NAMED, gone=[r"Resume a previous session", r"Here the path divides\."])
        screen.shot("The older one, which knows nothing of the fork:")


def killed(world):
    """The server is killed with -9 in the middle of a turn and comes back at its place: the same window goes on."""
    with begin(world) as screen:
        screen.say("Are you still there?")
        said(screen, "Yes, I am here.")
        screen.say("Walk without end.")
        world.model.wait_for_gate("walk")
        screen.wait(r"• half a")
        world.server.kill()
        screen.wait(r"[Rr]econnecting|[Dd]isconnected")
        screen.shot("The server is dead:")
        world.server.start()
        screen.wait(r"Conversation interrupted", gone=[r"[Rr]econnecting"])
        screen.shot("It is back; the turn that it died in is over:")
        screen.say("Tell me of the oak.")
        world.model.open("oak")
        said(screen, "Its roots are deep.")
        screen.shot("The next turn:")


def daemon(world):
    """`sapwood daemon start`, and plain `codex` in the same home finds it. A turn goes on while no window is there."""
    with world.daemon() as server:
        with ready(world.window()) as screen:
            screen.say("Tell me of the oak.")
            world.model.wait_for_gate("oak")
            screen.wait(r"• The\b", NAMED)
            screen.shot("`codex`, in the middle of an answer. Its terminal is closed now:")
        world.expect("running" in server.verb("status"), "the daemon outlives its window")
        with ready(world.window("resume", "--last")) as screen:
            screen.wait(r"Tell me of the oak", r"Working", NAMED)
            screen.shot("`codex resume --last` finds the turn at work:")
            world.model.open("oak")
            said(screen, "Its roots are deep.")
            screen.shot("And sees its end:")
            screen.say("/quit")
            screen.wait_for_end()


def queue_and_agents(world):
    """Another terminal leaves a message for when the turn is over, and one stops a turn from the list of all tasks."""
    with begin(world) as screen:
        screen.say("Tell me of the oak.")
        world.model.wait_for_gate("oak")
        screen.wait(r"• The\b", NAMED)
        world.run("queue", "--thread", "Walk in the woods", "--message", "Are you still there?")
        world.model.open("oak")
        said(screen, "Yes, I am here.")
        screen.shot('After `codex queue --thread "Walk in the woods" --message "Are you still there?"` in the middle of the first answer:')
        screen.say("Walk without end.")
        world.model.wait_for_gate("walk")
        screen.wait(r"• half a")
    with world.window("--remote", world.server.url, "agents") as screen:
        screen.wait(r"Working 1", r"● Working", r"Walk without end")
        screen.shot("`codex agents`, when the window is closed:")
        screen.keys("x")
        screen.wait(r"Working 0", r"○ Ready")
        screen.shot("`x` ends the turn:")


SCENES = [prompt, approval, interrupt, steer, subagents, fork_and_resume, queue_and_agents, killed, daemon]

"""What was seen, as a page of the documentation that is the same whenever it is written."""

import re

# Braille is the picture that a new window opens with.
PICTURE = re.compile(r"[\s\u2800-\u28ff]*")
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What differs from one run or machine to the next, and what stands for it.
DIFFERS = [
    (r"(?m)^ *└ Tip: .*$", ""),
    (r"(?m)^Pane is dead .*$", ""),
    (r"⚠ \d+ warnings? · f2 to view", ""),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:4500"),
    (r"Worked for \S.* • \d\d:\d\d", "Worked for 1s • 12:00"),
    (r"\((\d+m )?\d+s\b", "(1s"),
    (r"(?m)^[•◦] Working", "• Working"),
    (r"(?m)^( +(?:› )?)(now|\d.*? ago)(?= {2})", lambda found: found[1] + "now".ljust(len(found[2]))),
]


def plain(text, ids):
    """A screen without what differs. `ids` are those that were met so far, for the same to stay the same."""
    for pattern, instead in DIFFERS:
        text = re.sub(pattern, instead, text)
    text = ID.sub(lambda found: "00000000-0000-7000-8000-%012d" % ids.setdefault(found[0], len(ids) + 1), text)
    lines = [line.rstrip() for line in text.splitlines()]
    lines = ["" if PICTURE.fullmatch(line) else line for line in lines]
    return re.sub(r"(?m)^([ │]*)\n(?:\1\n)+", r"\1\n", "\n".join(lines)).strip("\n")


class Document:
    """The page: a chapter for each scene, a picture for each shot in it."""

    def __init__(self, head):
        self.parts, self.ids = [head], {}

    def scene(self, scene):
        self.parts.append(f"## {scene.__name__.replace('_', ' ').capitalize()}\n\n{scene.__doc__}\n")

    def shot(self, caption, text, folder):
        # The folder is the home of who looks.
        shown = plain(text.replace(str(folder), "~"), self.ids)
        assert folder.name not in shown, f"the screen names a folder of this machine:\n{shown}"
        self.parts.append(f"{caption}\n\n```text\n{shown}\n```\n")

    def write(self, path):
        path.write_text("\n".join(self.parts))

"""The examples of a page of the documentation, in their order, and what is to be done with them.

A fenced block with `title="shop/jobs.py"` is a file of the project: it is written, or added to the
end of the file that is there. Other blocks of `python` and `shell` are executed. A comment
`<!-- example: ... -->` before a block says how (see `MODES`); one by itself is something that the
reader does, such as pressing Ctrl-C. HTML comments do not show on the page.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

EXECUTED = frozenset({"python", "shell"})
"""The languages whose blocks must be executed, or say why not."""
SHOWN = frozenset(
    {"css", "dockerfile", "html", "http", "ini", "json", "nginx", "text", "toml", "ts", "tsx"}
    | {"django", "javascript", "typescript", "xml", "yaml"}
)

NOT_RUN = "not run:"
MODES = {
    "alone": "in a copy of the project of its own, which is checked and thrown away",
    "keeps running": "a process that is left running until Ctrl-C or the end of the page",
    "fails": "the command is expected to end with a status other than 0",
    NOT_RUN: "not executed, for the reason that follows",
}

_FENCE = re.compile(
    r"^(?P<indent>[ ]*)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"<!-- example: (?P<words>.*?) -->", re.DOTALL)
_TITLE = re.compile(r'title="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Example:
    """A fenced block of a page."""

    place: str
    language: str
    title: str
    text: str
    mode: str = ""

    @property
    def reason(self) -> str:
        """Why it is not executed; empty when it is."""
        return self.mode.removeprefix(NOT_RUN).strip() if self.mode.startswith(NOT_RUN) else ""

    @property
    def is_file(self) -> bool:
        """Whether its title is the path of a file of the project."""
        return bool(self.title) and not self.title.startswith("/")


@dataclass(frozen=True, slots=True)
class Action:
    """Something that the reader does, in words."""

    place: str
    words: str


def pages() -> list[Path]:
    """The pages whose examples are executed. Those for contributors tell how to run all of this."""
    found = sorted(page for page in DOCS.rglob("*.md") if "contributing" not in page.parts)
    return [ROOT / "README.md", *found]


def steps(page: Path) -> list[Example | Action]:
    """What somebody does who follows the page."""
    return list(_steps(page.relative_to(ROOT).as_posix(), page.read_text()))


def examples(page: Path) -> list[Example]:
    return [step for step in steps(page) if isinstance(step, Example)]


def _steps(name: str, source: str) -> Iterator[Example | Action]:
    fences = {fence.start(): fence for fence in _FENCE.finditer(source)}
    inside = [range(fence.start(), fence.end()) for fence in fences.values()]
    comments = [
        comment
        for comment in _COMMENT.finditer(source)
        if not any(comment.start() in fence for fence in inside)
    ]
    modes: dict[int, str] = {}
    actions: dict[int, str] = {}
    for comment in comments:
        words = " ".join(comment["words"].split())
        if any(words.startswith(mode) for mode in MODES):
            gap = re.compile(r"\s*\n(?=[ ]*```)").match(source, comment.end())
            assert gap, f"{_place(name, source, comment.start())}: no block follows this comment"
            modes[gap.end()] = words
        else:
            actions[comment.start()] = words
    for start in sorted([*fences, *actions]):
        place = _place(name, source, start)
        if start in actions:
            yield Action(place, actions[start])
        else:
            yield _example(place, fences[start], modes.get(start, ""))


def _example(place: str, fence: re.Match[str], mode: str) -> Example:
    language, _, rest = fence["info"].partition(" ")
    title = _TITLE.search(rest)
    return Example(place, language, title[1] if title else "", dedent(fence["text"]), mode)


def _place(name: str, source: str, position: int) -> str:
    return f"{name}:{source.count(chr(10), 0, position) + 1}"

"""The fenced blocks of a page, and the commands in them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^( *)```(\S[^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
NAME = re.compile(r"# ([\w.-]+)\n")
ENDS = {"&", "|", "&&", ";"}
SENDS = {">", "<"}


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands after the backticks, and the text."""

    info: str
    text: str

    @property
    def name(self) -> str | None:
        """The file that it is, by its first line."""
        found = NAME.match(self.text)
        return found[1] if found else None

    @property
    def commands(self) -> Iterator[list[str]]:
        """The commands of a shell, without where their output goes."""
        for line in self.text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            yield from _commands(list(lexer))


def blocks(page: Path) -> list[Block]:
    """Those of a page, in their order."""
    return [Block(info, text) for _, info, text in FENCE.findall(page.read_text("utf-8"))]


def codes(page: Path) -> list[str]:
    """What stands between single backticks."""
    return CODE.findall(FENCE.sub("", page.read_text("utf-8")))


def _commands(words: Sequence[str]) -> Iterator[list[str]]:
    command: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in SENDS:
            next(rest)
        elif word in ENDS:
            yield command
            command = []
        else:
            command.append(word)
    if command:
        yield command

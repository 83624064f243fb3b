"""XML of strangers: no DOCTYPE, so no entities, and limits to size and depth."""

from dataclasses import dataclass, field
from xml.parsers import expat

from pellucid_server.evaluate.formats.common.rows import BadRow

DEEPEST = 32
MOST = 200_000
"""Elements."""


@dataclass
class Element:
    """An element with the line that it begins in."""

    name: str
    line: int
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> list["Element"]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> "Element | None":
        """The first child of that name."""
        return next(iter(self.all(name)), None)

    def value(self, name: str) -> str:
        """The text of a child; empty: there is none."""
        found = self.get(name)
        return found.text.strip() if found else ""


def parse_xml(data: bytes) -> Element:
    """The root of a document.

    Raises:
        BadRow: it is not XML, or has a DOCTYPE or more than is allowed.
    """
    builder = _Builder()
    try:
        builder.parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # unknown encodings too
        raise BadRow(f"not XML: {error}", line=builder.line) from error
    return builder.root


class _Builder:
    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.root = Element("", 0)
        self._open: list[Element] = []
        self._count = 0

    @property
    def line(self) -> int:
        return self.parser.CurrentLineNumber

    def _start(self, name: str, attributes: object) -> None:
        del attributes
        self._count += 1
        if len(self._open) == DEEPEST or self._count > MOST:
            raise BadRow("the XML is too deep or has too many elements", line=self.line)
        element = Element(name, self.line)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, name: str) -> None:
        del name
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].text += text

    def _refuse(self, *declaration: object) -> None:
        del declaration
        raise BadRow("the XML has a DOCTYPE, which is refused", line=self.line)

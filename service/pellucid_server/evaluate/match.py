"""Which class of a model a data set's name means."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.evaluator import BadAnnotation, Options
from pellucid_server.nearest import nearest

SYNSET = re.compile(r"(n\d{8})(?:[\s_:,]+(.*))?", re.DOTALL)
"""WordNet's number of a noun, as ImageNet names its classes, perhaps with words after it."""
FIELD = "label_map"
SHOWN = 5


class Matcher:
    """Names of a data set to classes of a model.

    In this order: `label_map`, the label itself, the label but for case, spaces and
    underscores, a synset's number or one of comma separated synonyms, and an index. Where
    all `classes` of a data set are synset numbers, as many as the model has labels, and no
    label has one, they count in ascending order, as everybody numbers ImageNet's classes.

    Raises:
        InvalidInput: `label_map` names a class that the model does not have, or the model has
            none of `classes`.
    """

    def __init__(
        self, labels: Sequence[str], label_map: Mapping[str, str], classes: Sequence[str] = ()
    ) -> None:
        self._labels = labels
        self._exact = _first((label, index) for index, label in enumerate(labels))
        self._folded = _first((fold(label), index) for index, label in enumerate(labels))
        self._aliases = _first(
            (alias, index) for index, label in enumerate(labels) for alias in _aliases(label)
        )
        self._aliases |= _in_order_of_synsets(classes, labels)
        self._mapped: dict[str, int] = {}
        self._mapped = {name: self._target(name, target) for name, target in label_map.items()}
        self._mapped = {fold(name): index for name, index in self._mapped.items()} | self._mapped
        self._check(classes)

    def class_id(self, name: str) -> int:
        """Index of the class.

        Raises:
            BadAnnotation: the model does not have it.
        """
        found = self.find(name)
        if found is None:
            known = nearest(name, self._labels)
            raise BadAnnotation(f"the model has no class {name!r}.{known} Set {FIELD}")
        return found

    def find(self, name: str) -> int | None:
        """Index of the class, or None."""
        for table, key in (
            (self._mapped, name),
            (self._mapped, fold(name)),
            (self._exact, name),
            (self._folded, fold(name)),
            *((self._aliases, alias) for alias in _aliases(name)),
        ):
            if key in table:
                return table[key]
        return self._index(name)

    def _index(self, name: str) -> int | None:
        if not re.fullmatch(r"[0-9]{1,9}", name.strip()):
            return None
        index = int(name)
        return index if not self._labels or index < len(self._labels) else None

    def _target(self, name: str, target: str) -> int:
        found = self.find(target)
        if found is None:
            raise InvalidInput(
                f"{FIELD} maps {name!r} to {target!r}, which is no class of the model."
                f"{nearest(target, self._labels)}",
                field=FIELD,
            )
        return found

    def _check(self, classes: Sequence[str]) -> None:
        if not classes or any(self.find(name) is not None for name in classes):
            return
        raise InvalidInput(
            f"the model has none of the data set's classes. The data set has {_some(classes)}; "
            f"the model has {_some(self._labels)}.{self._pair(classes)} Map names of the data "
            f"set to names of the model, or to their indices, in {FIELD}",
            field=FIELD,
        )

    def _pair(self, classes: Sequence[str]) -> str:
        for name in classes:
            close = get_close_matches(fold(name), self._folded, n=1)
            if close:
                return f" Nearest: {name!r} and {self._labels[self._folded[close[0]]]!r}."
        return ""


def matcher(options: Options) -> Matcher:
    """The matcher of an evaluation; one is made for all that ask alike."""
    return _matcher(tuple(options.labels), tuple(options.label_map.items()), tuple(options.classes))


@lru_cache(maxsize=4)
def _matcher(
    labels: tuple[str, ...], label_map: tuple[tuple[str, str], ...], classes: tuple[str, ...]
) -> Matcher:
    return Matcher(labels, dict(label_map), classes)


def fold(name: str) -> str:
    """The name without case, spaces and underscores."""
    return re.sub(r"[\s_]+", "", name).casefold()


def _first(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Of equal names the first."""
    table: dict[str, int] = {}
    for name, index in pairs:
        table.setdefault(name, index)
    return table


def _aliases(name: str) -> Iterator[str]:
    """Other ways to say a name: its synset's number, and each of its synonyms."""
    synset = SYNSET.fullmatch(name.strip())
    words = name
    if synset:
        yield synset[1]
        words = synset[2] or ""
    yield from (fold(each) for each in words.split(",") if fold(each))


def _in_order_of_synsets(classes: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    numbered = any(SYNSET.fullmatch(label.strip()) for label in labels)
    found = {name: match[1] for name in classes if (match := SYNSET.fullmatch(name.strip()))}
    synsets = sorted(set(found.values()))
    if numbered or len(found) != len(set(classes)) or len(synsets) != len(labels):
        return {}
    return {name: synsets.index(synset) for name, synset in found.items()}


def _some(names: Sequence[str]) -> str:
    if not names:
        return "no names"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more

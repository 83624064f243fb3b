from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.nearest import nearest
from pellucid_server.types import Array, Box, Category, Outputs, Task

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """What a caller wants explained: a class, an object of Predict's, a place, a class there."""

    class_id: int | None = None
    label: str | None = None
    detection: int | None = None
    box: Box | None = None

    @classmethod
    def of(cls, named: "int | str | Target") -> "Target":
        """A class by its index or its label, or a target as it is."""
        if isinstance(named, Target):
            return named
        return cls(class_id=named) if isinstance(named, int) else cls(label=named)

    @property
    def has_class(self) -> bool:
        """Whether a class is named."""
        return self.class_id is not None or self.label is not None


@dataclass(frozen=True)
class Wanted:
    """The targets that a caller names, or where there are none the `top_k` first."""

    targets: tuple[Target, ...] = ()
    top_k: int = 1

    def chosen(
        self,
        task: Task,
        kinds: Collection[str],
        first: Callable[[int], Iterable[T]],
        find: Callable[[Target, str], T],
    ) -> tuple[T, ...]:
        """What `find` makes of each target and its path in the request, or the `first` few.

        Raises:
            InvalidInput: `top_k` is not positive, or a target is of none of the `kinds`.
        """
        if self.targets:
            paths = [f"targets[{place}]" for place in range(len(self.targets))]
            for target, path in zip(self.targets, paths, strict=True):
                _check(target, path, task.value.replace("_", " "), kinds)
            return tuple(map(find, self.targets, paths))
        if self.top_k < 1:
            raise InvalidInput(f"top_k must be 1 or more, not {self.top_k}", field="top_k")
        return tuple(first(self.top_k))


def _check(target: Target, path: str, task: str, kinds: Collection[str]) -> None:
    named = [name for name, value in vars(target).items() if value is not None]
    if not named:
        raise InvalidInput(f"a target of {task} needs {' or '.join(kinds)}", field=path)
    for name in named:
        if name not in kinds:
            raise InvalidInput(
                f"{task} has no target by {name}: give {' or '.join(kinds)}, or no target",
                field=f"{path}.{name}",
            )


@dataclass(frozen=True)
class Subject:
    """A target as understood; no box: it has no place of its own."""

    category: Category
    caption: str
    """How a person would call it."""
    box: Box | None = None

    @classmethod
    def confident(cls, category: Category, box: Box | None = None) -> Self:
        """A class, an object: its name, and its confidence in percent."""
        return cls(category, f"{name_of(category)} ({category.confidence:.1%})", box)


def name_of(category: Category) -> str:
    """The label, or the index where there is none."""
    return category.label or str(category.class_id)


@dataclass(frozen=True, eq=False)
class Objective(ABC):
    """What is explained of one image: subjects, and a score of each for any masked image."""

    subjects: tuple[Subject, ...]
    joined: bool = field(default=True, kw_only=True)
    """Whether outputs of several inferences can be joined along their first dimension."""

    @abstractmethod
    def scores(self, outputs: Outputs, count: int) -> Array:
        """How well each subject stands in outputs for `count` masked images: count x subjects.

        Raises:
            InferenceFailed: the outputs cannot be read.
        """


def images(outputs: Outputs, count: int) -> Iterator[Outputs]:
    """The outputs of each image; only those of several have them as their first dimension."""
    if count == 1:
        yield outputs
        return
    for index in range(count):
        yield {name: values[index : index + 1] for name, values in outputs.items()}


def class_index(target: Target, labels: Sequence[str], classes: int | None, path: str) -> int:
    """The index of the class that a target names; `classes`: how many there are, where known.

    Raises:
        NotFound: there is no such class.
        InvalidInput: the label names several.
    """
    if target.label is None:
        index = target.class_id or 0
        if index < 0 or (classes is not None and index >= classes):
            known = "from 0 on" if classes is None else f"0 to {classes - 1}"
            raise NotFound(
                f"the model has the classes {known}, not {index}", field=f"{path}.class_id"
            )
        return index
    matches = [index for index, label in enumerate(labels) if label == target.label]
    if not matches:
        hint = nearest(target.label, labels) if labels else " It has no labels: use class_id."
        raise NotFound(f"the model has no class {target.label!r}.{hint}", field=f"{path}.label")
    if len(matches) > 1:
        raise InvalidInput(
            f"{target.label!r} names the classes {matches}: use class_id", field=f"{path}.label"
        )
    return matches[0]


def class_field(target: Target, path: str) -> str:
    """The path of the field that names a target's class."""
    return f"{path}.class_id" if target.label is None else f"{path}.label"

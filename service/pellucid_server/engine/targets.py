from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pellucid_server.errors import InvalidInput, NotFound
from pellucid_server.nearest import nearest
from pellucid_server.types import Category


def select_targets(
    wanted: Sequence[int | str],
    top_k: int,
    scores: NDArray[np.float32],
    labels: Sequence[str],
) -> tuple[Category, ...]:
    """The classes to explain: those wanted, by index or label, or the `top_k` best.

    Raises:
        NotFound: no such class.
        InvalidInput: a class is wanted twice, a label names several, or `top_k` is out of range.
    """
    if not wanted:
        if not 1 <= top_k <= len(scores):
            raise InvalidInput(
                f"top_k must be in 1 to {len(scores)}, the model's classes, not {top_k}",
                field="top_k",
            )
        chosen = [int(index) for index in np.argsort(-scores, kind="stable")[:top_k]]
    else:
        chosen = [
            _index(target, len(scores), labels, f"targets[{place}]")
            for place, target in enumerate(wanted)
        ]
    if len(set(chosen)) < len(chosen):
        raise InvalidInput("a class is named twice", field="targets")
    return tuple(
        Category(index, labels[index] if labels else "", float(scores[index])) for index in chosen
    )


def _index(target: int | str, classes: int, labels: Sequence[str], field: str) -> int:
    if isinstance(target, int):
        if not 0 <= target < classes:
            raise NotFound(
                f"the model has the classes 0 to {classes - 1}, not {target}",
                field=f"{field}.class_id",
            )
        return target
    matches = [index for index, label in enumerate(labels) if label == target]
    if not matches:
        hint = nearest(target, labels) if labels else " It has no labels: use class_id."
        raise NotFound(f"the model has no class {target!r}.{hint}", field=f"{field}.label")
    if len(matches) > 1:
        raise InvalidInput(
            f"{target!r} names the classes {matches}: use class_id", field=f"{field}.label"
        )
    return matches[0]

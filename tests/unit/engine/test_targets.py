import numpy as np
import pytest

from pellucid_server.engine.targets import select_targets
from pellucid_server.errors import InvalidInput, NotFound, PellucidError
from pellucid_server.types import Category

SCORES = np.asarray([0.125, 0.5, 0.25, 0.25], np.float32)
LABELS = ("cat", "dog", "crane", "crane")


def test_without_targets_the_best_classes_are_explained() -> None:
    """Highest first; of equals the lower index."""
    chosen = select_targets((), 3, SCORES, LABELS)
    assert [(c.class_id, c.label) for c in chosen] == [(1, "dog"), (2, "crane"), (3, "crane")]
    assert chosen[0].confidence == 0.5


def test_targets_are_taken_in_the_callers_order() -> None:
    chosen = select_targets((3, "cat"), 1, SCORES, LABELS)
    assert chosen == (
        Category(3, "crane", 0.25),
        Category(0, "cat", 0.125),
    )


def test_models_without_labels_take_indices() -> None:
    assert select_targets((2,), 1, SCORES, ())[0].label == ""


@pytest.mark.parametrize(
    ("targets", "top_k", "error", "field", "telling"),
    [
        (("dgo",), 1, NotFound, "targets[0].label", "'dog'"),
        ((0, 4), 1, NotFound, "targets[1].class_id", "0 to 3"),
        ((-1,), 1, NotFound, "targets[0].class_id", "0 to 3"),
        (("crane",), 1, InvalidInput, "targets[0].label", "use class_id"),
        ((1, "dog"), 1, InvalidInput, "targets", "twice"),
        ((), 5, InvalidInput, "top_k", "1 to 4"),
        ((), -1, InvalidInput, "top_k", "1 to 4"),
    ],
)
def test_wrong_targets_are_refused(
    targets: tuple[int | str, ...],
    top_k: int,
    error: type[PellucidError],
    field: str,
    telling: str,
) -> None:
    with pytest.raises(error, match=telling) as caught:
        select_targets(targets, top_k, SCORES, LABELS)
    assert caught.value.field == field

import numpy as np
import pytest

from pellucid_server.errors import InvalidInput, NotFound, PellucidError
from pellucid_server.tasks.objectives import Target, Wanted
from pellucid_server.tasks.objectives.classes import Classes, in_order, most_confident
from pellucid_server.types import Box, Category

SCORES = np.asarray([0.125, 0.5, 0.25, 0.25], np.float64)
LABELS = ("cat", "dog", "crane", "crane")


def wanted(*targets: int | str | Target, top_k: int = 1) -> Wanted:
    return Wanted(tuple(map(Target.of, targets)), top_k)


def test_without_targets_the_best_classes_are_explained() -> None:
    """Highest first; of equals the lower index."""
    chosen = [each.category for each in most_confident(SCORES, LABELS, wanted(top_k=3))]
    assert [(c.class_id, c.label) for c in chosen] == [(1, "dog"), (2, "crane"), (3, "crane")]
    assert chosen[0].confidence == 0.5


def test_targets_are_taken_in_the_callers_order() -> None:
    chosen = most_confident(SCORES, LABELS, wanted(3, "cat"))
    assert [each.category for each in chosen] == [
        Category(3, "crane", 0.25),
        Category(0, "cat", 0.125),
    ]
    assert [each.caption for each in chosen] == ["crane (25.0%)", "cat (12.5%)"]


def test_models_without_labels_take_indices() -> None:
    (only,) = most_confident(SCORES, (), wanted(2))
    assert (only.category.label, only.caption, only.box) == ("", "2 (25.0%)", None)


def test_scores_are_the_columns_of_the_targets() -> None:
    """Of a whole batch at once."""
    subjects = most_confident(SCORES, LABELS, wanted(3, 0))
    rows = np.arange(8.0).reshape(2, 4)
    objective = Classes(subjects, lambda outputs: outputs["rows"])
    assert objective.scores({"rows": rows}, 2).tolist() == [[3, 0], [7, 4]]
    assert objective.joined


def test_numbers_come_in_their_order_and_are_no_percentages() -> None:
    values = np.asarray([-3.5, 41.25])
    first, second = in_order(values, ("width", "age"), wanted(top_k=2))
    assert (first.caption, second.caption) == ("width: -3.5", "age: 41.25")
    assert second.category == Category(1, "age", 41.25)
    assert in_order(values, ("width", "age"), wanted("age")) == (second,)


@pytest.mark.parametrize(
    ("asked", "error", "field", "telling"),
    [
        (wanted("dgo"), NotFound, "targets[0].label", "'dog'"),
        (wanted(0, 4), NotFound, "targets[1].class_id", "0 to 3"),
        (wanted(-1), NotFound, "targets[0].class_id", "0 to 3"),
        (wanted("crane"), InvalidInput, "targets[0].label", "use class_id"),
        (wanted(top_k=5), InvalidInput, "top_k", "1 to 4"),
        (wanted(top_k=-1), InvalidInput, "top_k", "1 or more"),
        (wanted(0, Target()), InvalidInput, "targets[1]", "needs class_id or label"),
        (wanted(Target(detection=0)), InvalidInput, "targets[0].detection", "class_id or label"),
        (
            wanted(Target(class_id=0, box=Box(0, 0, 1, 1))),
            InvalidInput,
            "targets[0].box",
            "classification has no target by box",
        ),
    ],
)
def test_wrong_targets_are_refused(
    asked: Wanted, error: type[PellucidError], field: str, telling: str
) -> None:
    with pytest.raises(error, match=telling) as caught:
        most_confident(SCORES, LABELS, asked)
    assert caught.value.field == field

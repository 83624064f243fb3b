"""D-RISE's score against a transcription of equations 1 to 4 of arXiv 2006.03204."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid_server.errors import InvalidInput, NotFound, PellucidError
from pellucid_server.imaging.frame import Frame
from pellucid_server.tasks.objectives import Subject, Target, Wanted
from pellucid_server.tasks.objectives.objects import LEAST, Objects, Proposals, Sought
from pellucid_server.tasks.objectives.scene import Scene
from pellucid_server.types import Array, Box, Category, Detection, Size, Task

NOTHING = Subject(Category(0, "", 0), "")
LABELS = ("person", "cat", "dog")
FRAME = Frame(Size(100, 100), Size(50, 50), Box(0, 0, 100, 100))


def proposals(rng: np.random.Generator, count: int, classes: int = 3) -> Proposals:
    corners = rng.uniform(0, 80, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(1, 40, (count, 2))])
    return Proposals(boxes.astype(np.float32), rng.random((count, classes)).astype(np.float32))


def similarity(box: Array, vector: Array, other: Array, scores: Array) -> float:
    """s(d_t, d_j) = s_L * s_P * s_O for one pair, in plain arithmetic."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    both = max(width, 0) * max(height, 0)
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (box, other)]
    lengths = np.sqrt((vector**2).sum()) * np.sqrt((scores**2).sum())
    return float(both / (sum(areas) - both) * (vector @ scores) / lengths * scores.max())


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6))
def test_the_score_is_d_rises_formula(seed: int, count: int, classes: int) -> None:
    """The best of all pairs, to 1e-6."""
    rng = np.random.default_rng(seed)
    found, wanted = proposals(rng, count, classes), proposals(rng, 1, classes)
    box, vector = (np.asarray(each[0], np.float64) for each in (wanted.boxes, wanted.scores))
    pairs = zip(found.boxes.astype(np.float64), found.scores.astype(np.float64), strict=True)
    strong = ((other, scores) for other, scores in pairs if scores.max() >= LEAST)
    expected = max((similarity(box, vector, *each) for each in strong), default=0)
    sought = Sought(NOTHING, Box(*box.tolist()), vector)
    objective = Objects((NOTHING,), (sought,), lambda _: found)
    assert abs(objective.scores({"any": np.zeros((1, 1))}, 1).item() - expected) < 1e-6


def test_one_hot_vectors_ask_for_the_class_itself() -> None:
    """Where a model says only the best class, another class counts for nothing."""
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    found = Proposals(boxes, np.array([[0.9, 0, 0], [0, 0.4, 0]], np.float32))
    cat = Sought(NOTHING, Box(0, 0, 10, 10), np.array([0, 1, 0]))
    dog = Sought(NOTHING, Box(0, 0, 10, 10), np.array([0, 0, 1]))
    assert cat.score(found) == pytest.approx(0.4)
    assert dog.score(found) == 0


def test_classes_that_one_image_lacks_match_nothing() -> None:
    """Without labels vectors are as long as the classes that occur."""
    boxes = np.array([[0, 0, 10, 10]], np.float32)
    found = Proposals(boxes, np.array([[0.9]], np.float32))
    assert Sought(NOTHING, Box(0, 0, 10, 10), np.array([0, 1.0])).score(found) == 0
    assert Sought(NOTHING, Box(0, 0, 10, 10), np.array([1.0, 0])).score(found) == pytest.approx(0.9)


@pytest.mark.parametrize("classes", [0, 3])
def test_no_proposals_score_nothing(classes: int) -> None:
    none = Proposals(np.zeros((0, 4), np.float32), np.zeros((0, classes), np.float32))
    sought = Sought(NOTHING, Box(0, 0, 10, 10), np.array([0, 1.0, 0]))
    objective = Objects((NOTHING, NOTHING), (sought, sought), lambda _: none, joined=False)
    assert objective.scores({"any": np.zeros((0, 4))}, 1).tolist() == [[0, 0]]


BOXES = np.array([[10, 10, 30, 30], [50, 50, 90, 90], [52, 50, 90, 90], [0, 60, 20, 80]], "f4")
VECTORS = np.array([[0.9, 0.1, 0], [0.1, 0.8, 0.2], [0.1, 0.2, 0.7], [0, 0, 0.005]], "f4")


def scene(*rows: tuple[int, int], multi_label: bool = False) -> Scene:
    """Objects are (row of the proposals, class)."""
    found = [
        (row, Detection(Box(*BOXES[row].tolist()), Category(class_id, LABELS[class_id], 0.5)))
        for row, class_id in rows
    ]
    where = "detection.confidence_threshold"
    whole = Proposals(BOXES, VECTORS)
    return Scene(Task.DETECTION, found, whole, FRAME, LABELS, where, multi_label)


def sought(*targets: Target, top_k: int = 1, on: Scene | None = None) -> tuple[Sought, ...]:
    return (on or scene((0, 0), (1, 1))).sought(Wanted(targets, top_k))


def test_without_targets_the_most_confident_objects_are_explained() -> None:
    """As many as there are; each with its own vector of classes."""
    first, second = sought(top_k=9)
    assert first.subject.box == Box(10, 10, 30, 30)
    assert second.vector.tolist() == VECTORS[1].tolist()
    assert second.subject.caption == "cat (50.0%)"


def test_an_object_is_named_by_its_place_or_its_class() -> None:
    (by_place,), (by_class,) = sought(Target(detection=1)), sought(Target(label="cat"))
    assert by_place.subject == by_class.subject
    assert by_place.subject.box == Box(50, 50, 90, 90)


def test_a_box_alone_takes_the_classes_of_the_proposal_that_fits_best() -> None:
    """IoU x objectness: 0.8 x 0.95 for the cat against 0.7 for the dog. Its score is told."""
    (found,) = sought(Target(box=Box(52, 50, 90, 90)))
    assert found.vector.tolist() == VECTORS[1].tolist()
    overlap = 38 * 40 / 1600
    dog = similarity(np.array([52, 50, 90, 90.0]), VECTORS[1], BOXES[2], VECTORS[2])
    expected = max(overlap * 0.8, dog)
    assert found.subject.category.confidence == pytest.approx(expected, abs=1e-6)
    assert found.subject.category.label == "cat"


def test_a_box_with_a_class_asks_for_that_class() -> None:
    (found,) = sought(Target(label="dog", box=Box(52, 50, 90, 90)))
    assert found.vector.tolist() == [0, 0, 1]
    length = np.sqrt(0.1**2 + 0.2**2 + 0.7**2)
    assert found.subject.category.confidence == pytest.approx(0.7 / length * 0.7, abs=1e-6)


def test_objects_of_one_proposal_are_told_apart_by_their_class() -> None:
    """A box of several classes would have one map for all of them."""
    both = scene((1, 1), (1, 2), multi_label=True)
    assert [each.vector.tolist() for each in sought(top_k=2, on=both)] == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("target", "error", "field", "telling"),
    [
        (Target(detection=2), NotFound, "targets[0].detection", "finds 2 objects"),
        (Target(detection=-1), NotFound, "targets[0].detection", "number -1"),
        (Target(label="dog"), NotFound, "targets[0].label", "finds no dog .* lower detection"),
        (Target(class_id=2), NotFound, "targets[0].class_id", "object of class 2"),
        (Target(label="cta"), NotFound, "targets[0].label", "'cat'"),
        (Target(class_id=3), NotFound, "targets[0].class_id", "0 to 2"),
        (Target(box=Box(91, 0, 99, 9)), NotFound, "targets[0].box", "name a class"),
        (Target(box=Box(5, 5, 5, 9)), InvalidInput, "targets[0].box", "empty"),
        (Target(box=Box(0, 0, np.nan, 9)), InvalidInput, "targets[0].box", "empty"),
        (Target(box=Box(50, 50, 120, 90)), InvalidInput, "targets[0].box", "100 x 100"),
        (Target(detection=0, box=Box(1, 1, 9, 9)), InvalidInput, "targets[0].box", "its own box"),
        (Target(), InvalidInput, "targets[0]", "detection or class_id or label or box"),
    ],
)
def test_wrong_targets_are_refused(
    target: Target, error: type[PellucidError], field: str, telling: str
) -> None:
    with pytest.raises(error, match=telling) as caught:
        sought(target)
    assert caught.value.field == field


def test_an_image_without_objects_is_refused() -> None:
    with pytest.raises(NotFound, match=r"lower detection\.confidence_threshold") as caught:
        sought(on=scene())
    assert caught.value.field == "targets"

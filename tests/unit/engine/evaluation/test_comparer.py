import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.comparer import Compared, Comparer, CompareRequest
from pellucid_server.engine.evaluation.request import PreprocessOverride
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.errors import Cancelled, InvalidInput, NotFound
from pellucid_server.evaluate.compare import Settings
from pellucid_server.evaluate.store import Evaluation, Store
from pellucid_server.evaluate.subset import Subset

from .conftest import Run, asked, picture, write_folders, write_list

TURNED = PreprocessOverride(mean=(255.0,), scale=(-1.0,))


def compared(
    comparer: Comparer, one: Evaluation, other: Evaluation, images: int = 0, **settings: Any
) -> Compared:
    request = CompareRequest(one.name, other.name, Settings(**settings), images)
    return comparer.compare(request, Call())


@pytest.fixture
def relabelled(run: Run, data: Path, twelve: str) -> tuple[Evaluation, Evaluation]:
    """Twelve images, evaluated before and after one of them was changed to another quarter."""
    before = run(asked(twelve))
    (data / "twelve" / "top left" / "00000.png").write_bytes(picture(3))
    return before, run(asked(twelve))


def test_an_evaluation_does_not_differ_from_itself(
    run: Run, comparer: Comparer, twelve: str
) -> None:
    one = run(asked(twelve))
    found = compared(comparer, one, one, images=2)
    comparison = found.comparison
    assert (comparison.images, comparison.became_wrong, comparison.became_right) == (12, 0, 0)
    assert all(delta.delta == 0 for delta in comparison.deltas)
    assert comparison.flips == ()
    assert [each.correlation for each in found.map_correlations] == pytest.approx([1, 1])
    assert found.baseline.inference_seconds > 0
    assert found.baseline.evaluation == one


def test_flips_are_told_image_by_image(
    comparer: Comparer, relabelled: tuple[Evaluation, Evaluation]
) -> None:
    """The image was changed between the two, which is told too."""
    found = compared(comparer, *relabelled).comparison
    assert (found.became_wrong, found.became_right, found.disagreements) == (1, 0, 1)
    assert found.differing_digests == 1
    (flip,) = found.flips
    assert flip.path == "top left/00000.png"
    assert flip.baseline
    assert flip.candidate
    assert (flip.baseline.label, flip.candidate.label) == ("top left", "bottom right")
    top = {delta.name: delta for delta in found.deltas}["top_1"]
    assert top.delta == pytest.approx(-1 / 12)


def test_a_set_without_annotations_tells_of_disagreement(
    run: Run, comparer: Comparer, data: Path
) -> None:
    write_list(data / "four", [])
    (data / "four" / "list.csv").unlink()
    one = run(asked("four", dataset_format="images"))
    (data / "four" / "0.png").write_bytes(picture(2))
    other = run(asked("four", dataset_format="images"))
    found = compared(comparer, one, other).comparison
    assert (found.disagreements, found.became_wrong, found.images) == (1, 0, 4)


def test_explained_images_are_spread_over_the_set(
    run: Run, comparer: Comparer, twelve: str
) -> None:
    one = run(asked(twelve))
    found = compared(comparer, one, one, images=3).map_correlations
    assert [each.index for each in found] == [0, 6, 11]
    assert all(math.isfinite(each.correlation) for each in found)


def test_more_images_to_explain_than_there_are_is_all_of_them(
    run: Run, comparer: Comparer, data: Path
) -> None:
    """But for those that could not be used."""
    write_list(data / "three", ["0.png,top left", "9.png,top left", "1.png,top right"])
    one = run(asked("three"))
    found = compared(comparer, one, one, images=9).map_correlations
    assert [each.path for each in found] == ["0.png", "1.png"]


def test_images_that_one_alone_has_are_left_out(run: Run, comparer: Comparer, twelve: str) -> None:
    some, every = run(asked(twelve, subset=Subset(5))), run(asked(twelve))
    found = compared(comparer, some, every).comparison
    assert (found.images, found.only_baseline, found.only_candidate) == (5, 0, 7)


def test_models_that_are_gone_are_not_compared(
    run: Run, comparer: Comparer, twelve: str, models: Any
) -> None:
    """Rows are judged again, which takes the model's classes."""
    one = run(asked(twelve))
    models._models.pop("quarters")
    with pytest.raises(NotFound) as caught:
        compared(comparer, one, one)
    assert caught.value.field == "model_name"


def test_what_is_not_done_is_not_compared(
    run: Run, comparer: Comparer, waiting: Evaluations, twelve: str
) -> None:
    done, waits = run(asked(twelve)), waiting.submit(asked(twelve), Call())
    for pair, field in (((waits, done), "baseline"), ((done, waits), "candidate")):
        with pytest.raises(InvalidInput, match="is pending: compare evaluations") as caught:
            compared(comparer, *pair)
        assert caught.value.field == field


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_an_unknown_one_is_not_found(run: Run, comparer: Comparer, twelve: str, side: str) -> None:
    name = run(asked(twelve)).name
    right = CompareRequest(name, name, Settings())
    request = replace(right, **{side: "evaluations/X"})  # type: ignore[arg-type]  # by name
    with pytest.raises(NotFound) as caught:
        comparer.compare(request, Call())
    assert caught.value.field == side


@pytest.mark.parametrize("images", [-1, 201])
def test_too_many_images_to_explain_are_refused(
    run: Run, comparer: Comparer, twelve: str, images: int
) -> None:
    one = run(asked(twelve))
    with pytest.raises(InvalidInput, match="0 to 200") as caught:
        compared(comparer, one, one, images=images)
    assert caught.value.field == "explained_images"


def test_sets_without_a_common_image_are_refused(
    run: Run, comparer: Comparer, twelve: str, data: Path
) -> None:
    write_folders(data / "others", 8)
    for path in list((data / "others").rglob("*.png")):
        path.rename(path.with_stem(f"other{path.stem}"))
    one, other = run(asked(twelve)), run(asked("others"))
    with pytest.raises(InvalidInput, match="no image in common") as caught:
        compared(comparer, one, other)
    assert caught.value.field == "candidate"


def test_who_hangs_up_is_not_compared_for(
    run: Run, comparer: Comparer, twelve: str, store: Store
) -> None:
    one, call = run(asked(twelve)), Call()
    call.cancelled.set()
    assert store.get(one.name) == one
    with pytest.raises(Cancelled):
        comparer.compare(CompareRequest(one.name, one.name, Settings()), call)

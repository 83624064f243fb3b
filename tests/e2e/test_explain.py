"""Explanations of the zoo's classifier, through the real client."""

import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

import pellucid

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
MODEL = "efficientnet-lite0"


def masks_done(server: Any) -> float:
    with urlopen(f"http://{server.metrics}/metrics") as response:
        lines = response.read().decode().splitlines()
    name = f'pellucid_masks_total{{method="rise",model="{MODEL}"}}'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


@pytest.fixture(scope="module")
def espresso(client: pellucid.Client) -> pellucid.Explanation:
    return client.explain(
        SAMPLES / "coffee.png", model=MODEL, targets=["espresso"], num_masks=800, overlay=True
    ).result()


def test_the_map_for_espresso_lies_on_the_cup(espresso: pellucid.Explanation) -> None:
    """Its peak, and the mean of its highest tenth, lie inside the cup's box."""
    values = espresso.on_image()
    height, width = values.shape
    assert (width, height) == (600, 400)
    y, x = np.unravel_index(np.nanargmax(values), values.shape)
    assert 165 < x < 420
    assert 20 < y < 270
    rows, columns = np.nonzero(values >= np.nanquantile(values, 0.9))
    assert 165 < columns.mean() < 420
    assert 20 < rows.mean() < 270


def test_what_the_model_does_not_see_has_no_value(espresso: pellucid.Explanation) -> None:
    """A centre crop of 350 x 350 pixels: outside its region the map is NaN."""
    values = espresso.on_image()
    assert espresso.region == pellucid.Box(125, 25, 475, 375)
    assert np.isnan(values[:, :124]).all()
    assert not np.isnan(values[25:375, 125:475]).any()


def test_the_overlay_is_the_photo_with_a_legend(espresso: pellucid.Explanation) -> None:
    assert espresso.overlay is not None
    width, height = espresso.overlay.size
    assert width == 600
    assert height > 400


def test_the_result_says_all_it_takes_to_repeat_it(
    client: pellucid.Client, espresso: pellucid.Explanation
) -> None:
    """The same parameters give the same map; another seed another one, much alike."""
    parameters: dict[str, Any] = dict(espresso.parameters)
    again = client.explain(
        SAMPLES / "coffee.png", model=MODEL, targets=[espresso.target], **parameters
    ).result()
    assert np.abs(again.saliency_map - espresso.saliency_map).max() < 1e-6
    other = client.explain(
        SAMPLES / "coffee.png", model=MODEL, targets=["espresso"], num_masks=800, seed=1
    ).result()
    maps = [each.saliency_map.ravel() for each in (espresso, other)]
    assert 0.6 < np.asarray(np.corrcoef(maps))[0, 1] < 0.9999


def test_events_come_in_their_order(client: pellucid.Client) -> None:
    """Accepted, progress that grows to the total, one result a target."""
    stream = client.explain(
        SAMPLES / "chelsea.png", model=MODEL, top_k=3, num_masks=200,
        progress_interval=0.05, partial_maps=0.05,
    )  # fmt: skip
    accepted, *rest = stream
    assert isinstance(accepted, pellucid.Accepted)
    assert accepted.total == 200
    assert [target.label for target in accepted.targets][:1] == ["tiger cat"]
    progress = [event for event in rest if isinstance(event, pellucid.Progress)]
    done = [event.done for event in progress]
    assert done == sorted(set(done))
    assert done[-1] == 200
    assert any(len(event.partial_maps) == 3 for event in progress)
    results = rest[len(progress) :]
    assert [event.target for event in results] == list(accepted.targets)  # type: ignore[union-attr]  # results


def test_maps_of_all_classes_differ_by_half_a_level_from_those_in_full(
    client: pellucid.Client,
) -> None:
    """A thousand maps in 16 bits and in float32: each class once, in the same order."""
    asked: dict[str, Any] = {"model": MODEL, "top_k": 1000, "num_masks": 64, "seed": 5}
    compact = client.explain(SAMPLES / "coffee.png", **asked).results()
    full = client.explain(SAMPLES / "coffee.png", **asked, compact_maps=False).results()
    assert len({each.target.class_id for each in compact}) == 1000
    assert [each.target for each in compact] == [each.target for each in full]
    for short, long in zip(compact, full, strict=True):
        step = np.ptp(long.saliency_map) / 65535
        rounding = 2e-7 * np.abs(long.saliency_map).max()
        assert np.abs(short.saliency_map - long.saliency_map).max() <= 0.501 * step + rounding
        assert short.map.stored.dtype == np.uint16


def test_hanging_up_stops_the_work(server: Any, client: pellucid.Client) -> None:
    """Of 100,000 masks no more are done a second after the caller left."""
    stream = client.explain(
        SAMPLES / "rocket.jpg", model=MODEL, num_masks=100_000, progress_interval=0.01
    )
    for event in stream:
        if isinstance(event, pellucid.Progress):
            break
    stream.close()
    time.sleep(1)
    done = masks_done(server)
    time.sleep(1)
    assert masks_done(server) == done
    statuses = [event["status"] for event in server.events() if event.get("event") == "call"]
    assert "CANCELLED" in statuses


def test_methods_are_listed_with_their_parameters(client: pellucid.Client) -> None:
    (rise,) = client.methods(MODEL)
    assert rise.name == "rise"
    assert MODEL in rise.models
    defaults = {parameter.name: parameter.default for parameter in rise.parameters}
    assert defaults["num_cells"] == 7
    assert [method.name for method in client.methods("nanodet")] == ["rise"]


def peak(found: pellucid.Explanation) -> tuple[int, int]:
    """Where the map is highest, in pixels of the photo: x, y."""
    values = found.on_image()
    y, x = np.unravel_index(np.nanargmax(values), values.shape)
    return int(x), int(y)


def is_within(point: tuple[int, int], box: pellucid.Box) -> bool:
    x, y = point
    return box.x_min < x < box.x_max and box.y_min < y < box.y_max


def test_the_cat_is_found_by_what_is_in_its_box(client: pellucid.Client) -> None:
    """The object that is explained is the one that is detected."""
    photo = SAMPLES / "chelsea.png"
    result = client.predict(photo, model="nanodet")
    assert isinstance(result, pellucid.DetectionResult)
    (cat,) = result.detections
    found = client.explain(
        photo, model="nanodet", targets=pellucid.Target(detection=0), num_masks=128
    ).result()
    assert (found.target.label, found.box) == ("cat", cat.box)
    assert found.target.confidence == pytest.approx(cat.confidence, abs=1e-5)
    assert is_within(peak(found), cat.box)


def test_the_astronaut_is_found_by_her_head(client: pellucid.Client) -> None:
    """Of the person the face and hair count more than the suit, let alone the flag."""
    stream = client.explain(
        SAMPLES / "astronaut.png", model="nanodet", targets="person", num_masks=256
    )
    found = stream.result()
    assert found.box is not None
    assert is_within(peak(found), found.box)
    values = found.on_image()
    assert np.nanmean(values[40:200, 170:290]) > np.nanmean(values[:, 400:]) + 0.005


def test_pixels_of_the_astronaut_rest_on_herself(client: pellucid.Client) -> None:
    """Of the largest two classes; and those of her face on her face."""
    photo = SAMPLES / "astronaut.png"
    both = client.explain(photo, model="selfie-segmentation", top_k=2, num_masks=256).results()
    assert {each.target.label for each in both} == {"person", "background"}
    face = pellucid.Box(190, 50, 280, 170)
    found = client.explain(photo, model="selfie-segmentation", targets=face, num_masks=256).result()
    assert (found.target.label, found.box) == ("person", face)
    assert is_within(peak(found), pellucid.Box(170, 20, 300, 220))


def test_holes_are_filled_from_their_surroundings(client: pellucid.Client) -> None:
    """A model of two inputs: where the map is high is no farther than a cell from the hole."""
    found = client.explain(
        SAMPLES / "rocket.jpg",
        model="push-pull",
        task_parameters={"rectangles": [(100, 200, 180, 260)]},
        num_masks=256,
    ).result()
    assert found.target.name == "picture"
    assert is_within(peak(found), pellucid.Box(20, 130, 260, 330))


def test_a_patch_of_a_style_rests_on_its_place(client: pellucid.Client) -> None:
    """A model of any size with weights beside the photo."""
    box = pellucid.Box(100, 100, 160, 160)
    found = client.explain(
        SAMPLES / "chelsea.png", model="multistyle", targets=box, num_masks=48, overlay=True
    ).result()
    assert found.box == box
    assert is_within(peak(found), pellucid.Box(40, 50, 220, 210))
    assert found.overlay is not None


@pytest.mark.parametrize(
    ("model", "target", "field"),
    [
        ("nanodet", pellucid.Target(detection=7), "targets[0].detection"),
        ("nanodet", pellucid.Target(label="dog"), "targets[0].label"),
        ("nanodet", pellucid.Box(0, 0, 9999, 5), "targets[0].box"),
        ("selfie-segmentation", pellucid.Target(detection=0), "targets[0].detection"),
        (MODEL, pellucid.Box(0, 0, 9, 9), "targets[0].box"),
        ("multistyle", "cat", "targets[0].label"),
        ("push-pull", (), "inpainting.rectangles"),
        ("arbitrary-style", (), "style_transfer.style_image"),
    ],
)
def test_targets_that_a_model_does_not_have_are_refused(
    client: pellucid.Client, model: str, target: Any, field: str
) -> None:
    with pytest.raises(pellucid.PellucidError) as caught:
        client.explain(SAMPLES / "chelsea.png", model=model, targets=target).result()
    assert caught.value.field == field

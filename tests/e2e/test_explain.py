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
    assert client.methods("nanodet") == []

"""Predictions that wait at the same time, in one inference."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.device import device_specs
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.scheduling import Policy, Priority, Scheduler
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.together import gather
from pellucid_server.runtime.units import Inference, Unit
from pellucid_server.runtime.variants import AS_IS, OF_IMAGE, OfImage, Variant
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Array, Feeds, Outputs, Port

SIDE = 8
CALLERS = 7


def served(graph: ov.Model, side: int = SIDE) -> ServedModel:
    """A model of an image."""
    spec = ModelSpec.model_validate({"task": "classification"})
    shapes = ((1, 3, side, side), tuple(graph.outputs[0].partial_shape.to_shape()))
    ports = [
        Port(name, "FP32", shape) for name, shape in zip(("image", "scores"), shapes, strict=True)
    ]
    return ServedModel(
        "model", 1, spec, "openvino", Path("model.xml"), graph, (ports[0],), (ports[1],), ()
    )


def fixed_graph() -> ov.Model:
    """Its reshape has the number of images in it."""
    image = ops.parameter([1, 3, SIDE, SIDE], np.float32, name="image")
    image.output(0).tensor.set_names({"image"})
    flat = ops.reshape(image, ops.constant([1, 3 * SIDE * SIDE]), special_zero=False)
    flat.output(0).tensor.set_names({"scores"})
    return ov.Model([ops.result(flat)], [image], "fixed")


def picture(seed: int) -> Feeds:
    """An image of its own."""
    pixels = np.random.default_rng(seed).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    return {"image": pixels}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make(metrics: Metrics) -> Iterator[Callable[[int], ModelPool]]:
    """Makes pools of one thread; they are closed after the test."""
    pools = []

    def pool(most: int, **settings: Any) -> ModelPool:
        devices = device_specs(("CPU",), 1, None)
        made = PoolSettings(devices, Policy(), predict_batch=most, **settings)
        pools.append(ModelPool(made, metrics))
        return pools[-1]

    yield pool
    for each in pools:
        each.close()


class Gate:
    """Holds up inferences while it is closed, and notes how many images each has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.open = threading.Event()
        self.fails: Callable[[int], bool] = lambda _: False
        infer = Compiled.infer

        def held(compiled: Compiled, worker: int, feeds: Feeds) -> Outputs:
            self.open.wait(30)
            images = len(next(iter(feeds.values())))
            self.sizes.append(images)
            if self.fails(images):
                raise RuntimeError("out of memory")
            return infer(compiled, worker, feeds)

        monkeypatch.setattr(Compiled, "infer", held)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def crowd(
    pool: ModelPool, model: ServedModel, gate: Gate, *, joins: bool = True
) -> list[Inference]:
    """What seven callers get who waited at the same time, behind another."""
    gate.open.clear()
    gate.sizes.clear()

    def call(seed: int) -> Inference:
        return pool.infer(model, OF_IMAGE, picture(seed), Call(), joins=joins)

    with ThreadPoolExecutor(CALLERS + 1) as callers:
        first = callers.submit(pool.infer, model, OF_IMAGE, picture(0), Call())
        wait_for(lambda: len(pool._dispatcher._scheduler._running) == 1)
        futures = [callers.submit(call, seed) for seed in range(CALLERS)]
        wait_for(lambda: waiting(pool) == CALLERS)
        gate.open.set()
        first.result(30)
        return [future.result(30) for future in futures]


def waiting(pool: ModelPool) -> int:
    return pool._dispatcher._scheduler.waiting_of(Priority.INTERACTIVE)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def warm(pool: ModelPool, model: ServedModel, gate: Gate, *sizes: int) -> None:
    """Has the forms for several images compiled, as the first crowds have it done."""
    crowd(pool, model, gate)
    device = pool.devices[0]
    nice = device.nice(Priority.INTERACTIVE)
    for size in sizes:
        crowd(pool, model, gate)
        wait_for(lambda size=size: device.has(model, OfImage(size), nice))  # type: ignore[misc]


def scores(inferences: Sequence[Inference]) -> Array:
    return np.concatenate([each.outputs["scores"] for each in inferences])


def test_those_that_wait_share_inferences_and_each_gets_its_own_answer(
    make: Callable[..., ModelPool],
    gate: Gate,
    make_graph: Callable[..., ov.Model],
    metrics: Metrics,
) -> None:
    """Of seven four go first, then two; answers are those of each alone, within 1e-6."""
    pool, model = make(4), served(make_graph())
    alone = scores(crowd(pool, model, gate, joins=False))
    assert gate.sizes == [1] * (CALLERS + 1)
    warm(pool, model, gate, 4, 2)
    together = crowd(pool, model, gate)
    assert gate.sizes == [1, 4, 2, 1]
    assert np.abs(scores(together) - alone).max() <= 1e-6 * np.abs(alone).max()
    assert len(np.unique(alone, axis=0)) == CALLERS
    seen = metrics.registry.get_sample_value("pellucid_batch_size_sum", {"model": "model"})
    calls = metrics.registry.get_sample_value("pellucid_batch_size_count", {"model": "model"})
    assert seen is not None
    assert calls is not None
    assert seen % (CALLERS + 1) == 0
    assert calls < seen


def test_an_inference_of_several_tells_each_its_share(
    make: Callable[..., ModelPool], gate: Gate, make_graph: Callable[..., ov.Model]
) -> None:
    pool, model = make(4), served(make_graph())
    warm(pool, model, gate, 4, 2)
    four = [each for each in crowd(pool, model, gate) if each.images == 4]
    assert len(four) == 4
    assert len({each.compute for each in four}) == 1
    assert four[0].share == four[0].compute / 4


def test_nobody_waits_for_company(
    make: Callable[..., ModelPool], gate: Gate, make_graph: Callable[..., ov.Model]
) -> None:
    """One after another, each runs at once and alone."""
    pool, model = make(4), served(make_graph())
    warm(pool, model, gate, 4, 2)
    gate.sizes.clear()
    for seed in range(4):
        pool.infer(model, OF_IMAGE, picture(seed), Call(), joins=True)
    assert gate.sizes == [1] * 4


def test_by_default_each_has_an_inference_of_its_own(
    make: Callable[..., ModelPool], gate: Gate, make_graph: Callable[..., ov.Model]
) -> None:
    pool, model = make(1), served(make_graph())
    for _ in range(3):
        crowd(pool, model, gate)
        assert gate.sizes == [1] * (CALLERS + 1)


def test_a_model_whose_reshapes_fix_the_batch_runs_alone(
    make: Callable[..., ModelPool], gate: Gate
) -> None:
    pool, model = make(4), served(fixed_graph())
    for _ in range(3):
        assert len(scores(crowd(pool, model, gate))) == CALLERS
        assert gate.sizes == [1] * (CALLERS + 1)


def test_where_the_budget_has_no_room_nothing_is_compiled_for_it(
    make: Callable[..., ModelPool], gate: Gate, make_graph: Callable[..., ov.Model]
) -> None:
    pool, model = make(4, memory_bytes=1), served(make_graph())
    for _ in range(3):
        crowd(pool, model, gate)
        assert gate.sizes == [1] * (CALLERS + 1)


def test_those_that_fail_together_are_tried_alone(
    make: Callable[..., ModelPool], gate: Gate, make_graph: Callable[..., ov.Model]
) -> None:
    """Company is no reason to fail: all seven are answered, and the device stays trusted."""
    pool, model = make(4), served(make_graph())
    alone = scores(crowd(pool, model, gate, joins=False))
    warm(pool, model, gate, 4, 2)
    gate.fails = lambda images: images > 1
    assert np.array_equal(scores(crowd(pool, model, gate)), alone)
    assert sorted(gate.sizes) == [1] * (CALLERS + 1) + [2, 4]
    assert not pool.lost


def unit(model: ServedModel, variant: Variant = OF_IMAGE, side: int = SIDE, **facts: Any) -> Unit:
    feeds = {"image": np.zeros((1, side, side, 3), np.uint8)}
    return Unit(model, variant, feeds, facts.pop("call", Call()), Priority.INTERACTIVE, **facts)


def group_of(units: Sequence[Unit], most: int) -> tuple[list[Unit], list[Unit]]:
    """Who goes together where all wait, and the order of the others."""
    scheduler: Scheduler[Unit] = Scheduler(Policy())
    for each in units:
        scheduler.submit(each, now=0.0, priority=each.priority, job=object())
    taken = scheduler.take(1.0)
    assert taken is not None
    group = gather(scheduler, taken, most, 1.0)
    rest = []
    while (other := scheduler.take(1.0)) is not None:
        rest.append(other.unit)
    return [each.unit for each in group], rest


@pytest.mark.parametrize(("waiting", "most", "together"), [
    (1, 4, 1), (2, 4, 2), (3, 4, 2), (4, 4, 4), (8, 4, 4), (8, 1, 1), (7, 8, 4),
])  # fmt: skip
def test_groups_are_powers_of_two_in_the_order_of_turns(
    make_graph: Callable[..., ov.Model], waiting: int, most: int, together: int
) -> None:
    """Each size is compiled on its own; who is left over keeps its turn."""
    model = served(make_graph())
    units = [unit(model, joins=True) for _ in range(waiting)]
    assert group_of(units, most) == (units[:together], units[together:])


def hung_up() -> Call:
    call = Call()
    call.cancelled.set()
    return call


@pytest.mark.parametrize("other", [
    {"side": 16}, {"variant": AS_IS}, {"call": hung_up()}, {"joins": False},
    {"failed_on": {"a device"}}, {"series": {"image": np.zeros((2, 1))}},
])  # fmt: skip
def test_only_what_is_alike_goes_together(
    make_graph: Callable[..., ov.Model], other: dict[str, Any]
) -> None:
    """Another size, form, failure or caller that hung up ends the group."""
    model = served(make_graph())
    units = [unit(model, joins=True), unit(model, **{"joins": True, **other}), unit(model)]
    assert group_of(units, 4)[0] == units[:1]


def test_models_do_not_mix(make_graph: Callable[..., ov.Model]) -> None:
    units = [unit(served(make_graph()), joins=True) for _ in range(2)]
    assert group_of(units, 2)[0] == units[:1]

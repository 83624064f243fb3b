"""Inferences and compilations that do not come back: whoever waits is told, and others go on."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from pellucid_server.call import Call
from pellucid_server.errors import DeviceUnavailable, InferenceFailed, ModelUnavailable
from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.device import Device, device_specs
from pellucid_server.runtime.guard import longest
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.probe import Probe
from pellucid_server.runtime.scheduling import Policy, Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.suspects import Suspects
from pellucid_server.runtime.units import Unit
from pellucid_server.runtime.variants import AS_IS
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Feeds, Outputs

from .test_devices import feeds, product

STALL = 0.2
PATIENCE = 30


class Hanging(Compiled):
    """A compiled model that hangs, at first, until it is let go; some end when they are asked."""

    def __init__(self, good: Compiled, hangs: int, *, obeys: bool) -> None:
        self.__dict__ = good.__dict__
        self.hangs = hangs
        self.obeys = obeys
        self.go = threading.Event()

    def infer(self, worker: int, feeds: Feeds) -> Outputs:
        self.hangs -= 1
        if self.hangs >= 0 and self.go.wait(PATIENCE) and self.obeys:
            raise RuntimeError("Infer Request was canceled")
        return super().infer(worker, feeds)

    def cancel(self, worker: int) -> None:
        del worker
        if self.obeys:
            self.go.set()


Make = Callable[..., ModelPool]
Hang = Callable[..., Hanging]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make(metrics: Metrics) -> Iterator[Make]:
    """Makes pools that lose patience soon."""
    pools = []

    def pool(*names: str, streams: int = 1, stalls: int = 9, compiling: float = 60) -> ModelPool:
        settings = PoolSettings(
            device_specs(names, streams, None),
            Policy(),
            stall_seconds=STALL,
            compile_seconds=compiling,
        )
        suspects = Suspects(stalls=stalls, metrics=metrics)
        pools.append(ModelPool(settings, metrics, suspects))
        return pools[-1]

    yield pool
    for each in pools:
        each.close()


@pytest.fixture
def hang() -> Iterator[Hang]:
    """Lets a device's compiled model hang; at the end all are let go."""
    hanging = []

    def make(device: Device, model: ServedModel, hangs: int = 1, *, obeys: bool = False) -> Hanging:
        made = Hanging(device.compiled(model, AS_IS), hangs, obeys=obeys)
        hanging.append(made)
        future: Future[Compiled] = Future()
        future.set_result(made)
        device.drop(model)
        device._compiled[model, AS_IS, 0] = future
        return made

    yield make
    for each in hanging:
        each.go.set()


def value(metrics: Metrics, name: str, device: str = "CPU") -> float:
    return metrics.registry.get_sample_value(name, {"device": device}) or 0.0


def wait_for(condition: Callable[[], Any]) -> None:
    done = threading.Event()
    for _ in range(PATIENCE * 100):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("it did not happen")


def right(pool: ModelPool, model: ServedModel) -> bool:
    output = pool.infer(model, AS_IS, feeds(5), Call()).outputs["output"]
    return bool(np.allclose(output, 64 * (5 / 64) ** 2, rtol=1e-5))


def test_a_hang_fails_its_call_and_another_thread_takes_the_seat(
    make: Make, hang: Hang, metrics: Metrics
) -> None:
    """With one stream, the next call is answered all the same; what hung may come back."""
    pool, model = make("CPU"), product()
    hanging = hang(pool.devices[0], model)
    with pytest.raises(InferenceFailed, match=r"product gave no answer within .* on this input"):
        pool.infer(model, AS_IS, feeds(1), Call())
    assert value(metrics, "pellucid_inference_stalls_total") == 1
    assert value(metrics, "pellucid_stuck_threads") == 1
    assert right(pool, model)
    hanging.go.set()
    wait_for(lambda: value(metrics, "pellucid_stuck_threads") == 0)
    assert right(pool, model)


def test_what_hangs_on_one_device_is_done_on_another(
    make: Make, hang: Hang, metrics: Metrics
) -> None:
    pool, model = make("CPU", "CPU"), product()
    for device in pool.devices:
        hang(device, model, hangs=int(device is pool.devices[0]))
    futures = [
        pool.submit(model, AS_IS, feeds(index), Call(), job=object(), priority=Priority.INTERACTIVE)
        for index in range(20)
    ]
    for index, future in enumerate(futures):
        output = future.result(PATIENCE).outputs["output"]
        assert np.allclose(output, 64 * (index / 64) ** 2, rtol=1e-5)
    assert value(metrics, "pellucid_device_failures_total", "CPU#0") == 1


def test_an_inference_that_ends_when_it_is_asked_costs_no_thread(
    make: Make, hang: Hang, metrics: Metrics
) -> None:
    pool, model = make("CPU"), product()
    hang(pool.devices[0], model, obeys=True)
    with pytest.raises(InferenceFailed, match="no answer"):
        pool.infer(model, AS_IS, feeds(1), Call())
    assert value(metrics, "pellucid_inference_stalls_total") == 1
    assert value(metrics, "pellucid_stuck_threads") == 0


def test_masks_that_let_a_hang_pass_are_done_again(make: Make, hang: Hang) -> None:
    """A Predict that goes between two masks hangs: the masks run elsewhere, none is lost."""
    pool, model, other = make("CPU"), product(), product()
    hang(pool.devices[0], other)
    calm = pool.devices[0].compiled(model, AS_IS)
    submitted: list[Future[Any]] = []
    infer_series = calm.infer_series

    def slowly(worker: int, feeds: Feeds, series: Feeds, pause: Callable[[], bool]) -> Outputs:
        if not submitted:
            submitted.append(
                pool.submit(
                    other, AS_IS, {"data": np.ones((64, 64), np.float32)}, Call(),
                    job=object(), priority=Priority.INTERACTIVE,
                )
            )  # fmt: skip
        return infer_series(worker, feeds, series, pause)

    calm.infer_series = slowly  # type: ignore[method-assign]  # a Predict comes meanwhile
    masks = np.stack([feeds(index)["data"] for index in range(8)])
    series = pool.submit(
        model, AS_IS, {}, Call(),
        job=object(), priority=Priority.EXPLAIN, images=8, series={"data": masks},
    )  # fmt: skip
    outputs = series.result(PATIENCE).outputs["output"]
    assert np.allclose(outputs[::64, 0], [64 * (index / 64) ** 2 for index in range(8)], rtol=1e-5)
    with pytest.raises(InferenceFailed, match="no answer"):
        submitted[0].result(PATIENCE)


def test_a_model_that_hangs_again_is_refused_and_others_are_not(make: Make, hang: Hang) -> None:
    pool, model, other = make("CPU", stalls=2), product(), product()
    for _ in range(2):
        hang(pool.devices[0], model)
        with pytest.raises(InferenceFailed, match="no answer"):
            pool.infer(model, AS_IS, feeds(1), Call())
    with pytest.raises(ModelUnavailable, match=r"product version 1 is not served.*LoadModel"):
        pool.infer(model, AS_IS, feeds(1), Call())
    pool._suspects.pardon("product")
    assert right(pool, other)


def test_where_every_thread_is_stuck_whoever_must_know_hears_it(
    make: Make, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pellucid_server.runtime.crew.MOST_STUCK", 0)
    pool, model, ended = make("CPU"), product(), threading.Event()
    pool.hear(lambda _: None, ended.set)
    hang(pool.devices[0], model)
    with pytest.raises(InferenceFailed, match="no answer"):
        pool.infer(model, AS_IS, feeds(1), Call())
    assert ended.wait(PATIENCE)
    assert pool.exhausted


def test_a_compilation_that_hangs_is_refused_and_keeps_no_other_waiting(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many hang as may compile at once, and one more: the next is compiled."""
    pool, go, compile_model = make("CPU", compiling=0.3), threading.Event(), Device._compile
    bad = [product() for _ in range(3)]

    def hangs(device: Device, model: ServedModel, variant: Any, nice: int) -> Compiled:
        if model in bad:
            go.wait(PATIENCE)
        return compile_model(device, model, variant, nice)

    monkeypatch.setattr(Device, "_compile", hangs)
    for each in bad:
        pool._suspects.pardon("product")
        with pytest.raises(ModelUnavailable, match="compiling it did not end within"):
            pool.infer(each, AS_IS, feeds(1), Call())
    pool._suspects.pardon("product")
    assert right(pool, product())
    go.set()


def test_devices_that_are_gone_are_told_and_come_back(
    make: Make, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits and what comes gets UNAVAILABLE at once, and none waits for a device to rest."""
    monkeypatch.setattr("pellucid_server.runtime.fleet.FIRST_REST", 0.05)
    pool, model = make("CPU", "CPU"), product()
    told: list[bool] = []
    pool.hear(told.append, pytest.fail)
    assert right(pool, model)
    gone = threading.Event()
    infer, ask = Compiled.infer, Probe._ask

    def fails(compiled: Compiled, worker: int, feeds: Feeds) -> Outputs:
        if gone.is_set():
            raise RuntimeError("the plugin lost the device")
        return infer(compiled, worker, feeds)

    monkeypatch.setattr(Compiled, "infer", fails)
    monkeypatch.setattr(Probe, "_ask", lambda probe: not gone.is_set() and ask(probe))
    gone.set()
    futures = [
        pool.submit(model, AS_IS, feeds(1), Call(), job=object(), priority=Priority.BULK)
        for _ in range(1)
    ]
    for future in futures:
        with pytest.raises(DeviceUnavailable, match="no device answers"):
            future.result(PATIENCE)
    with pytest.raises(DeviceUnavailable):
        pool.infer(model, AS_IS, feeds(1), Call())
    wait_for(lambda: told == [False])
    assert pool.lost
    assert value(metrics, "pellucid_device_up", "CPU#0") == 0
    gone.clear()
    wait_for(lambda: told == [False, True])
    assert right(pool, model)
    wait_for(lambda: value(metrics, "pellucid_device_up", "CPU#0") == 1)
    wait_for(lambda: value(metrics, "pellucid_device_up", "CPU#1") == 1)


@pytest.mark.parametrize(
    ("images", "steps", "usual", "seconds"),
    [
        (1, 1, 0.0, 60),
        (1, 1, 0.1, 60),
        (1, 1, 2.0, 100),
        (8, 8, 2.0, 100),
        (32, 1, 0.0, 32 * 60),
        (32, 1, 0.1, 160),
    ],
)
def test_work_gets_fifty_times_what_it_usually_takes(
    images: int, steps: int, usual: float, seconds: float
) -> None:
    """A minute at least; a batch that never ran gets that for each image; a mask for itself."""
    series = {"masks": np.zeros((steps, 1))} if steps > 1 else {}
    unit = Unit(product(), AS_IS, {}, Call(), Priority.EXPLAIN, images, series)
    assert longest(unit, usual, 60) == pytest.approx(seconds)

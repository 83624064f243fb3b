"""Several devices: real CPU instances with thread shares of their own, and injected failures."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pellucid_server.call import Call
from pellucid_server.errors import InferenceFailed
from pellucid_server.runtime.compiled import Compiled
from pellucid_server.runtime.device import Device, device_specs
from pellucid_server.runtime.pool import ModelPool
from pellucid_server.runtime.pool_settings import PoolSettings
from pellucid_server.runtime.scheduling import Policy, Priority
from pellucid_server.runtime.served import ServedModel
from pellucid_server.runtime.units import Inference
from pellucid_server.runtime.variants import AS_IS
from pellucid_server.spec import ModelSpec
from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.types import Feeds, Outputs, Port


def product() -> ServedModel:
    """A model whose output tells which unit it was fed."""
    data = ops.parameter([64, 64], ov.Type.f32, name="data")
    data.output(0).get_tensor().set_names({"data"})
    graph = ov.Model([ops.result(ops.matmul(data, data, False, False))], [data], "product")
    port = Port("data", "FP32", (64, 64))
    return ServedModel(
        "product", 1, ModelSpec(), "openvino", Path("model.xml"), graph,
        (port,), (Port("output", "FP32", (64, 64)),), (),
    )  # fmt: skip


def feeds(index: int) -> Feeds:
    return {"data": np.full((64, 64), index / 64, np.float32)}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def make(metrics: Metrics) -> Iterator[Callable[..., ModelPool]]:
    pools = []

    def pool(*names: str, streams: int | None = None, threads: int | None = None) -> ModelPool:
        specs = device_specs(names, streams, threads)
        pools.append(ModelPool(PoolSettings(specs, Policy()), metrics))
        return pools[-1]

    yield pool
    for each in pools:
        each.close()


def submit(pool: ModelPool, model: ServedModel, count: int) -> "list[Future[Inference]]":
    job = object()
    return [
        pool.submit(model, AS_IS, feeds(index), Call(), job=job, priority=Priority.EXPLAIN)
        for index in range(count)
    ]


def check(futures: "list[Future[Inference]]") -> None:
    """Every unit has its own right answer: none lost, none mixed up."""
    for index, future in enumerate(futures):
        output = future.result(60).outputs["output"]
        assert np.allclose(output, 64 * (index / 64) ** 2, rtol=1e-5)


class Failing(Compiled):
    """A compiled model that fails from its n-th inference on, until it is mended."""

    def __init__(self, good: Compiled, after: int) -> None:
        self.__dict__ = good.__dict__
        self.good_runs = after
        self.mended = False

    def infer(self, worker: int, feeds: Feeds) -> Outputs:
        self.good_runs -= 1
        if self.good_runs < 0 and not self.mended:
            raise RuntimeError("the device is gone")
        return super().infer(worker, feeds)


def break_device(device: Device, model: ServedModel, after: int) -> Failing:
    nice = device.nice(Priority.EXPLAIN)
    failing = Failing(device.compiled(model, AS_IS, nice), after)
    device.drop(model)
    future: Future[Compiled] = Future()
    future.set_result(failing)
    device._compiled[model, AS_IS, nice] = future
    return failing


def value(metrics: Metrics, name: str, device: str) -> float:
    return metrics.registry.get_sample_value(name, {"device": device}) or 0.0


def test_a_cpu_named_several_times_shares_the_threads() -> None:
    """Seven threads among three: 3, 2 and 2, with as many streams; a lone one takes all."""
    shares = device_specs(("CPU", "CPU", "CPU"), None, 7)
    assert [spec.name for spec in shares] == ["CPU#0", "CPU#1", "CPU#2"]
    assert [spec.threads for spec in shares] == [3, 2, 2]
    assert [spec.streams for spec in shares] == [3, 2, 2]
    (alone,) = device_specs(("CPU",), None, None)
    assert (alone.name, alone.threads) == ("CPU", None)
    mixed = device_specs(("GPU.0", "CPU"), None, None)
    assert [spec.device for spec in mixed] == ["GPU.0", "CPU"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_work_is_done_on_all_devices(
    make: Callable[..., ModelPool], metrics: Metrics, count: int
) -> None:
    """Three hundred units on one, two and three CPU instances: each has its own answer."""
    pool = make(*["CPU"] * count, threads=3)
    check(submit(pool, product(), 300))
    names = [device.spec.name for device in pool.devices]
    done = [
        metrics.registry.get_sample_value(
            "pellucid_compute_seconds_count", {"model": "product", "device": name}
        )
        for name in names
    ]
    assert sum(each or 0 for each in done) == 300
    assert all(each and each > 10 for each in done)


def test_a_slow_and_a_fast_device_end_together(make: Callable[..., ModelPool]) -> None:
    """The slow one gets fewer units: at the end both are done within one of its units."""
    pool, model = make("CPU", "CPU", streams=1), product()
    slow = break_device(pool.devices[1], model, after=10**9)
    infer, ends = slow.infer, {}

    def slowly(worker: int, feeds: Feeds) -> Outputs:
        time.sleep(0.05)
        ends["slow"] = time.monotonic()
        return infer(worker, feeds)

    slow.infer = slowly  # type: ignore[method-assign]  # a slow device
    pool.prepare(model, AS_IS)
    futures = submit(pool, model, 400)
    check(futures)
    assert time.monotonic() - ends["slow"] < 0.5


def test_a_device_that_fails_loses_nothing(
    make: Callable[..., ModelPool], metrics: Metrics
) -> None:
    """After 20 units one of two devices fails: all 300 answers come, and metrics tell."""
    pool, model = make("CPU", "CPU", streams=1), product()
    pool.prepare(model, AS_IS)
    break_device(pool.devices[1], model, after=20)
    check(submit(pool, model, 300))
    assert value(metrics, "pellucid_device_up", "CPU#0") == 1
    assert value(metrics, "pellucid_device_up", "CPU#1") == 0
    assert value(metrics, "pellucid_device_failures_total", "CPU#1") >= 1


def test_a_device_that_recovers_is_used_again(
    make: Callable[..., ModelPool], metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pellucid_server.runtime.device.FIRST_REST", 0.1)
    pool, model = make("CPU", "CPU", streams=1), product()
    pool.prepare(model, AS_IS)
    failing = break_device(pool.devices[1], model, after=0)
    pool.devices[1].trusted()  # takes the shorter rest
    check(submit(pool, model, 50))
    assert value(metrics, "pellucid_device_up", "CPU#1") == 0
    failing.mended = True
    deadline = time.monotonic() + 20
    while value(metrics, "pellucid_device_up", "CPU#1") == 0:
        assert time.monotonic() < deadline
        check(submit(pool, model, 50))


def test_a_unit_that_fails_everywhere_is_at_fault_itself(
    make: Callable[..., ModelPool], metrics: Metrics
) -> None:
    """A wrong shape fails on both devices: that call alone fails, and both devices stay."""
    pool, model = make("CPU", "CPU", streams=1), product()
    with pytest.raises(InferenceFailed):
        pool.infer(model, AS_IS, {"data": np.ones((5, 7), np.float32)}, Call())
    assert value(metrics, "pellucid_device_up", "CPU#0") == 1
    assert value(metrics, "pellucid_device_up", "CPU#1") == 1
    check(submit(pool, model, 20))


def test_a_lone_device_is_never_taken_out(make: Callable[..., ModelPool], metrics: Metrics) -> None:
    pool, model = make("CPU", streams=1), product()
    with pytest.raises(InferenceFailed):
        pool.infer(model, AS_IS, {"data": np.ones((5, 7), np.float32)}, Call())
    assert value(metrics, "pellucid_device_up", "CPU") == 1
    check(submit(pool, model, 5))

from pellucid_server.telemetry.metrics import Metrics
from pellucid_server.telemetry.readiness import Readiness, Status


def test_the_gauge_follows() -> None:
    metrics = Metrics()
    readiness = Readiness(metrics)

    def gauge() -> float | None:
        return metrics.registry.get_sample_value("pellucid_ready")

    assert gauge() == 0
    readiness.serve()
    assert gauge() == 1
    readiness.leave()
    assert gauge() == 0


def test_whoever_goes_never_comes_back() -> None:
    """Whatever is still under way when the server is told to go."""
    readiness = Readiness(Metrics())
    readiness.leave()
    readiness.serve()
    readiness.watch(lambda: ("something",))
    assert not readiness.resume()
    assert readiness.status is Status.DRAINING
    assert readiness.waits_for == ("the calls that run to end",)

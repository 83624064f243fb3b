"""Ten times as many calls as the machine can serve, at fixed times whether or not answers come."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.frame import Series, benchmark, interleave
from benchmarks.nets import RESNET, repository
from benchmarks.server import Server, serving
from benchmarks.worker import Worker

CALLERS = 8
"""As many as keep the devices busy, and hardly wait."""
OVERLOAD = 10
IDLE_RATE = 3
"""Calls a second that meet no other."""


@dataclass(frozen=True)
class Size:
    """Pairs of phases, and seconds of each."""

    pairs: int
    seconds: float


@dataclass(frozen=True)
class Phase:
    """What callers saw, and what it took of the server."""

    seen: Mapping[str, float]
    cpu: float
    bytes: int
    """The most memory that the server held until then."""

    @property
    def goodput(self) -> float:
        """Calls in a second that were answered within a second."""
        return self.seen["goodput"]

    @property
    def goodput_per_cpu(self) -> float:
        """Calls that were answered in a second of the server's processor time."""
        return self.seen["answered"] / self.cpu


@dataclass(frozen=True)
class Load:
    """Phases of calls of one server; the generator is a process of its own."""

    server: Server
    generator: Worker

    def phase(self, **question: float) -> Phase:
        """Asks for calls, and waits for the last.

        Raises:
            RuntimeError: a call was neither answered nor refused with a retry delay.
        """
        cpu = self.server.cpu
        seen = self.generator.ask(**question)
        if seen["failed"]:
            raise RuntimeError(f"{seen['failed']:.0f} calls were neither answered nor refused")
        return Phase(seen, self.server.cpu - cpu, self.server.peak_bytes)

    def pairs(self, size: Size) -> list[tuple[Phase, Phase]]:
        """The peak, then ten times of it, again and again."""
        self.phase(callers=2, seconds=1)
        normal = self.phase(rate=IDLE_RATE, seconds=size.seconds).seen["p90"]
        peaks: list[Phase] = []

        def peak() -> Phase:
            peaks.append(self.phase(callers=CALLERS, seconds=size.seconds))
            return peaks[-1]

        def overload() -> Phase:
            rate = OVERLOAD * peaks[-1].goodput
            return self.phase(rate=rate, seconds=size.seconds, normal=normal)

        return interleave(size.pairs, peak, overload)


@benchmark(
    {
        "overload_goodput_over_peak": "ratio",
        "overload_goodput_over_peak_per_cpu": "ratio",
        "overload_refusal_p50_ms": "ms",
        "overload_refusal_p99_ms": "ms",
        "overload_recovery_seconds": "s",
        "overload_memory_over_peak": "ratio",
    },
    quick=Size(1, 1.5),
    full=Size(5, 15),
)
def overload(size: Size) -> Series:
    """ResNet-50's shape, photos of 30 KB, no deadlines; refused callers do not come again."""
    with (
        repository() as models,
        serving(models=models) as server,
        Worker("benchmarks.workers.arrivals", server.target, RESNET) as generator,
    ):
        pairs = Load(server, generator).pairs(size)
    return {
        "overload_goodput_over_peak": [over.goodput / peak.goodput for peak, over in pairs],
        "overload_goodput_over_peak_per_cpu": [
            over.goodput_per_cpu / peak.goodput_per_cpu for peak, over in pairs
        ],
        "overload_refusal_p50_ms": [1000 * over.seen["refusal_p50"] for _, over in pairs],
        "overload_refusal_p99_ms": [1000 * over.seen["refusal_p99"] for _, over in pairs],
        "overload_recovery_seconds": [over.seen["recovery"] for _, over in pairs],
        "overload_memory_over_peak": [over.bytes / pairs[0][0].bytes for _, over in pairs],
    }

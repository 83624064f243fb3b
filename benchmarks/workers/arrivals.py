"""Calls that arrive at a fixed rate, whether or not answers come: in a process of its own.

It shares the machine with the server, so it sends the same bytes each time and decodes nothing.
"""

import asyncio
import json
import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.frame import percentile
from benchmarks.http2 import Connection
from benchmarks.photos import small_jpeg
from pellucid.v1 import common_pb2, inference_pb2

METHOD = "/pellucid.v1.InferenceService/Predict"
CONNECTIONS = 4
REFUSED = math.inf
USEFUL = 1.0
"""Seconds after which an answer comes too late to count."""
TICK, PAUSE = 0.01, 0.1
"""Seconds that a caller leaves the server alone where it was refused: one that looks whether all
is well again, and one of a closed loop."""
IN_A_ROW, PATIENCE = 3, 30.0
"""Fast calls that make a calm, and the seconds after which none is hoped for."""


@dataclass
class Tally:
    """How calls ended: seconds from when each was due, by kind."""

    good: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    late: int = 0
    failed: int = 0
    """Neither answered nor refused with a retry delay."""

    def summary(self, goodput: float, recovery: float) -> dict[str, float]:
        """As numbers."""
        return {
            "goodput": goodput,
            "answered": len(self.good) + self.late,
            "refused": len(self.refused),
            "failed": self.failed,
            "p50": _at(self.good, 50),
            "p90": _at(self.good, 90),
            "p99": _at(self.good, 99),
            "refusal_p50": _at(self.refused, 50),
            "refusal_p99": _at(self.refused, 99),
            "recovery": recovery,
        }


@dataclass(frozen=True)
class Generator:
    """Calls of one message over a few connections."""

    connections: list[Connection]

    async def at_rate(self, rate: float, seconds: float, normal: float = 0.0) -> dict[str, float]:
        """Calls at fixed times (an open loop); then, where asked for, a few until all is calm.

        `recovery` is how long after the load calls still took over twice their `normal` seconds.
        """
        tally, tasks, start = Tally(), [], time.perf_counter()
        for index in range(round(rate * seconds)):
            due = start + index / rate
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            tasks.append(asyncio.create_task(self._one(index, due, tally)))
        end = time.perf_counter()
        good, recovery = len(tally.good), await self._calm(end, normal) if normal else 0.0
        await asyncio.gather(*tasks)
        return tally.summary(good / (end - start), recovery)

    async def together(self, callers: int, seconds: float) -> dict[str, float]:
        """Calls from several callers, each as soon as its last is answered (a closed loop)."""
        tally, start = Tally(), time.perf_counter()

        async def loop(caller: int) -> None:
            while time.perf_counter() - start < seconds:
                if await self._one(caller, time.perf_counter(), tally) == REFUSED:
                    await asyncio.sleep(PAUSE)

        await asyncio.gather(*(loop(caller) for caller in range(callers)))
        return tally.summary(len(tally.good) / (time.perf_counter() - start), 0.0)

    async def _one(self, index: int, due: float, tally: Tally) -> float:
        answer = self.connections[index % len(self.connections)].call()
        await answer.ended
        seconds = time.perf_counter() - due
        if answer.message and seconds <= USEFUL:
            tally.good.append(seconds)
        elif answer.message:
            tally.late += 1
        elif answer.retry:
            tally.refused.append(seconds)
        else:
            tally.failed += 1
        return seconds if answer.message else REFUSED

    async def _calm(self, end: float, normal: float) -> float:
        """Calls one after another until a few in a row are as fast as ever; when they began."""
        calm, since = 0, 0.0
        while calm < IN_A_ROW and time.perf_counter() - end < PATIENCE:
            before = time.perf_counter()
            if not calm:
                since = before - end
            fast = await self._one(0, before, Tally()) <= 2 * normal
            calm = calm + 1 if fast else 0
            await asyncio.sleep(0 if fast else TICK)
        return since


@asynccontextmanager
async def generator(target: str, model: str) -> AsyncIterator[Generator]:
    """Connected to a server, for photos of 30 KB."""
    image = common_pb2.Input(image=small_jpeg())
    message = inference_pb2.PredictRequest(model_name=model, inputs=[image]).SerializeToString()
    loop, (host, port) = asyncio.get_running_loop(), target.rsplit(":", 1)
    made = [
        await loop.create_connection(lambda: Connection(target, METHOD, message), host, int(port))
        for _ in range(CONNECTIONS)
    ]
    yield Generator([connection for _, connection in made])
    for transport, _ in made:
        transport.close()


async def main(target: str, model: str) -> None:
    """Answers questions, a line each."""
    async with generator(target, model) as calls:
        while line := await asyncio.to_thread(sys.stdin.readline):
            question = json.loads(line)
            cpu = time.process_time()
            closed = "callers" in question
            done = await (calls.together if closed else calls.at_rate)(**question)
            print(json.dumps({**done, "cpu": time.process_time() - cpu}), flush=True)


def _at(seconds: list[float], rank: float) -> float:
    return percentile(seconds, rank) if seconds else math.nan


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""What only the asynchronous client can show."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

import pytest

from pellucid import Progress, aio


async def test_images_may_come_asynchronously(target: str, scripted: Any) -> None:
    async def images() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield scripted.png()

    async with aio.Client(target) as client:
        outcomes = [each async for each in client.predict_many(images(), model="lights")]
    assert sorted(each.index for each in outcomes) == [0, 1, 2]


async def test_calls_run_side_by_side(target: str, scripted: Any) -> None:
    async with aio.Client(target) as client:
        results = await asyncio.gather(
            *(client.predict(scripted.png(), model="lights") for _ in range(8))
        )
    assert len(results) == 8


async def test_cancelling_the_task_stops_the_servers_work(
    target: str, fake: Any, scripted: Any
) -> None:
    """The task's own cancellation goes on as asyncio's; the server sees the hang-up."""
    started = asyncio.Event()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def explain(request: Any, context: Any) -> Iterator[Any]:
        gone = threading.Event()
        context.add_callback(gone.set)
        context.add_callback(lambda: loop.call_soon_threadsafe(ended.set))
        yield from islice(scripted.explained(request, context), 2)
        gone.wait(20)

    def note(_progress: Progress) -> None:
        started.set()

    fake.explain = explain
    async with aio.Client(target) as client:
        stream = client.explain(scripted.png(), model="lights")
        task = asyncio.create_task(stream.result(note))
        await asyncio.wait_for(started.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 10)

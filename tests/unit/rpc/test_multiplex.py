import threading
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest

from pellucid_server.errors import InvalidInput, Stopping
from pellucid_server.rpc.multiplex import IN_FLIGHT, Multiplexer


@dataclass(frozen=True)
class Item:
    id: str


def refuse(item: Item, error: Exception) -> str:
    return f"{item.id}: {type(error).__name__}"


def test_every_request_is_answered_once() -> None:
    items = [Item(str(number)) for number in range(50)]
    answers = list(Multiplexer(iter(items), lambda item: item.id, refuse).responses())
    assert sorted(answers) == sorted(item.id for item in items)


def test_no_requests_give_no_answers() -> None:
    assert list(Multiplexer(iter(()), lambda item: item.id, refuse).responses()) == []


def test_answers_come_as_they_complete() -> None:
    second = threading.Event()

    def answer(item: Item) -> str:
        if item.id == "slow":
            assert second.wait(30)
        return item.id

    responses = Multiplexer(iter([Item("slow"), Item("fast")]), answer, refuse).responses()
    assert next(responses) == "fast"
    second.set()
    assert list(responses) == ["slow"]


def test_a_failure_is_an_answer_and_the_stream_goes_on() -> None:
    def answer(item: Item) -> str:
        if item.id == "bad":
            raise ValueError
        return item.id

    items = [Item("a"), Item("bad"), Item("b")]
    answers = sorted(Multiplexer(iter(items), answer, refuse).responses())
    assert answers == ["a", "b", "bad: ValueError"]


def test_an_id_that_is_in_flight_is_refused_and_can_be_used_again_later() -> None:
    finish = threading.Event()

    def answer(item: Item) -> str:
        assert finish.wait(30)
        return f"{item.id}: answered"

    def requests() -> Iterator[Item]:
        yield Item("x")
        yield Item("x")

    responses = Multiplexer(requests(), answer, refuse).responses()
    assert next(responses) == "x: InvalidInput"
    finish.set()
    assert list(responses) == ["x: answered"]

    one_by_one = Multiplexer(iter([Item("y")]), answer, refuse)
    assert list(one_by_one.responses()) == ["y: answered"]


def test_requests_are_read_only_where_there_is_room() -> None:
    """Nobody takes the answers: no more than a few requests are read."""
    read = 0
    full = threading.Event()

    def requests() -> Iterator[Item]:
        nonlocal read
        for number in range(100):
            read += 1
            if read == IN_FLIGHT + 2:
                full.set()
            yield Item(str(number))

    responses = Multiplexer(requests(), lambda item: item.id, refuse).responses()
    next(responses)
    full.wait(0.3)
    # One answer was taken but its place is given back only when the next is asked for;
    # one more request waits for room.
    assert read <= IN_FLIGHT + 1
    responses.close()  # type: ignore[attr-defined]  # a generator


def test_closing_the_answers_stops_the_reading() -> None:
    def requests() -> Iterator[Item]:
        number = 0
        while True:
            yield Item(str(number))
            number += 1

    responses = Multiplexer(requests(), lambda item: item.id, refuse).responses()
    next(responses)
    responses.close()  # type: ignore[attr-defined]  # a generator
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("predict-stream") for name in names)


def test_a_caller_that_hangs_up_ends_the_stream() -> None:
    def requests() -> Iterator[Item]:
        yield Item("a")
        raise grpc.RpcError

    assert list(Multiplexer(requests(), lambda item: item.id, refuse).responses()) == ["a"]


@pytest.mark.parametrize("count", [1, 3])
def test_at_most_a_few_are_worked_on_at_once(count: int) -> None:
    running = most = 0
    lock = threading.Lock()

    def answer(item: Item) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return item.id

    items = [Item(str(number)) for number in range(count * 20)]
    assert len(list(Multiplexer(iter(items), answer, refuse).responses())) == count * 20
    assert 1 <= most <= IN_FLIGHT


def test_what_is_no_request_ends_the_stream_with_an_error() -> None:
    def requests() -> Iterator[Item]:
        yield Item("a")
        raise InvalidInput("no message")

    responses = Multiplexer(requests(), lambda item: item.id, refuse).responses()
    with pytest.raises(InvalidInput, match="no message"):
        list(responses)


def test_a_stream_that_is_told_to_end_ends_though_its_caller_says_nothing() -> None:
    """`check` hears that nothing is in flight; what was asked before is answered."""
    hung_up, heard = threading.Event(), []

    def requests() -> Iterator[Item]:
        yield Item("a")
        hung_up.wait(30)

    def check(in_flight: int) -> None:
        heard.append(in_flight)
        if answers and not in_flight:
            raise Stopping("the server goes away")

    answers: list[str] = []
    responses = Multiplexer(requests(), lambda item: item.id, refuse, check).responses()
    with pytest.raises(Stopping):  # noqa: PT012  # what came before counts
        for answer in responses:
            answers.append(answer)  # noqa: PERF402  # one by one: `check` looks at them
    hung_up.set()
    assert answers == ["a"]
    assert heard[-1] == 0

"""Many predictions on one stream: what is in flight, and what may be handed out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pellucid._wire.inputs import to_input
from pellucid._wire.predictions import results
from pellucid.errors import InvalidArgumentError, PellucidError, from_number
from pellucid.results import AnyResult
from pellucid.types import InputLike
from pellucid.v1 import inference_pb2 as pb


@dataclass(frozen=True)
class Outcome:
    """What became of one image of many: a result, or the error that it met.

    `index` counts the images from 0; `input` is what was given.
    """

    index: int
    input: Any
    outcome: AnyResult | Exception

    @property
    def error(self) -> Exception | None:
        """Why there is no result, `None` where there is one."""
        return self.outcome if isinstance(self.outcome, Exception) else None

    @property
    def result(self) -> AnyResult:
        """The result.

        Raises:
            PellucidError: the server's error; OSError, TypeError: the input's.
        """
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def __repr__(self) -> str:
        return f"Outcome({self.index}: {self.outcome!r})"


class Window:
    """At most `limit` images that were sent or wait for their turn to be handed out.

    Until the first answer it is one image: a server that turns the stream down does so
    then, and a status that meets a message on its way is lost in asyncio's gRPC.
    """

    def __init__(self, template: pb.PredictRequest, *, limit: int, ordered: bool) -> None:
        if limit < 1:
            raise InvalidArgumentError(f"in_flight is at least 1, not {limit}", field="in_flight")
        self._template = template
        self._limit = limit
        self._ordered = ordered
        self._sent: dict[int, InputLike] = {}
        self._done: dict[int, Outcome] = {}
        self._accepted = False
        self._taken = 0
        self._handed = 0

    @property
    def waiting(self) -> bool:
        """Whether answers are still to come."""
        return bool(self._sent)

    @property
    def full(self) -> bool:
        """Whether no more images should be taken now."""
        limit = self._limit if self._accepted else 1
        return len(self._sent) + len(self._done) >= limit

    def take(self, image: InputLike) -> pb.PredictStreamRequest | None:
        """The request for the next image; `None` where it cannot be read: an outcome says why."""
        index, self._taken = self._taken, self._taken + 1
        request = pb.PredictStreamRequest(id=str(index), request=self._template)
        try:
            request.request.inputs.append(to_input(image))
        except (OSError, TypeError, ValueError) as error:
            self._done[index] = Outcome(index, image, error)
            return None
        self._sent[index] = image
        return request

    def receive(self, response: pb.PredictStreamResponse) -> None:
        """Notes an answer; one that nobody waits for is dropped."""
        self._accepted = True
        index = int(response.id) if response.id.isdecimal() else -1
        if index in self._sent:
            self._done[index] = Outcome(index, self._sent.pop(index), _outcome(response))

    def outcomes(self) -> Iterator[Outcome]:
        """Those that may be handed out now."""
        while self._done:
            index = self._handed if self._ordered else next(iter(self._done))
            if index not in self._done:
                return
            self._handed += 1
            yield self._done.pop(index)


def _outcome(response: pb.PredictStreamResponse) -> AnyResult | Exception:
    if response.HasField("error"):
        return from_number(response.error.code, response.error.message, response.error.field)
    try:
        return results(response.response, 1)[0]
    except PellucidError as error:
        return error

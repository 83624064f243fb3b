"""Pictures of rows, as the server draws them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pellucid.client import Client
from pellucid.errors import PellucidError
from pellucid.report.page import jpeg

MAX_SIDE = 320
AT_ONCE = 4


@dataclass(frozen=True)
class Thumbnail:
    """A small picture, or why there is none."""

    source: str = ""
    problem: str = ""


def thumbnails(
    client: Client, evaluation: str, indices: Sequence[int], *, annotation: bool = True
) -> list[Thumbnail]:
    """The pictures of some rows; what cannot be drawn does not stop the others."""

    def one(index: int) -> Thumbnail:
        try:
            found = client.render_example(
                evaluation, index, max_side=MAX_SIDE, annotation=annotation
            )
        except PellucidError as error:
            return Thumbnail(problem=error.message)
        return Thumbnail(jpeg(found.data))

    with ThreadPoolExecutor(AT_ONCE) as workers:
        return list(workers.map(one, indices))

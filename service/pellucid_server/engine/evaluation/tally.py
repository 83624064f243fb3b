"""What the rows of an evaluation add up to; it can be told anew from the rows alone."""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pellucid_server.engine.evaluation.request import Progress
from pellucid_server.evaluate.evaluator import Evaluator
from pellucid_server.evaluate.report import Report, Row

DIGEST_BYTES = 16


@dataclass
class Tally:
    """Counts, digests and judges rows, in the order of the data set."""

    evaluator: Evaluator
    total: int
    done: int = 0
    bad: int = 0
    started: float = field(default_factory=time.monotonic)
    _here: int = 0
    """Rows added since `started`: the speed is that of this server."""

    def __post_init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def replay(self, rows: Iterable[Row]) -> None:
        """Adds what was done before, which took no time here."""
        for row in rows:
            self.add(row)
        self._here = 0
        self.started = time.monotonic()

    def add(self, row: Row) -> None:
        """Adds the next row."""
        self.done += 1
        self._here += 1
        self._digest.update(bytes.fromhex(row.digest))
        if row.reason:
            self.bad += 1
        else:
            self.evaluator.add(row)

    @property
    def dataset_digest(self) -> str:
        """Of all images and annotations so far, in order."""
        return self._digest.hexdigest()

    @property
    def rate(self) -> float:
        """Images a second."""
        return self._here / max(time.monotonic() - self.started, 1e-6)

    def progress(self) -> Progress:
        """How far it is."""
        rate = self.rate
        return Progress(
            done=self.done,
            total=self.total,
            elapsed=time.monotonic() - self.started,
            remaining=(self.total - self.done) / rate if rate else float("inf"),
            images_per_second=rate,
            metrics=self.evaluator.running(),
        )

    def report(self) -> Report:
        """What was found."""
        return replace(
            self.evaluator.report(),
            images=self.done - self.bad,
            bad_annotations=self.bad,
            images_per_second=self.rate,
        )

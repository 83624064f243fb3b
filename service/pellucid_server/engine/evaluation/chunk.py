"""Rows of an evaluation on their way to the store."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pellucid_server.engine.evaluation.hold import Hold
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import Store
from pellucid_server.telemetry.tracing import Tracer

CHUNK = 128
"""Rows committed together, unless `CHUNK_SECONDS` pass before."""
CHUNK_SECONDS = 0.5


@dataclass
class Chunk:
    """Rows on their way to the store; what was committed is never done again."""

    store: Store
    hold: Hold
    count: Callable[[float], None]
    """Hears how many rows were committed."""
    tracer: Tracer | None = None
    link: str = ""
    """The span of the call that asked for the evaluation."""
    rows: list[Row] = field(default_factory=list)
    written: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        """The evaluation's."""
        return self.hold.claimed.name

    def add(self, row: Row) -> None:
        """Takes the next row."""
        self.rows.append(row)

    def keep(self) -> None:
        """Commits where it is time; raises why the work is to stop, where it is."""
        self.hold.check()
        waited = time.monotonic() - self.written
        if self.hold.careful or len(self.rows) >= CHUNK or waited > CHUNK_SECONDS:
            self.commit()
            self.hold.check()

    def commit(self) -> None:
        """Commits what there is."""
        rows, self.rows = self.rows, []
        start, self.written = self.written, time.monotonic()
        if rows:
            self.hold.heed(self.store.append(self.name, self.hold.claimed.token, rows))
            self.count(len(rows))
            self._trace(rows, start)

    def _trace(self, rows: list[Row], start: float) -> None:
        if self.tracer:
            now = time.monotonic()
            self.tracer.background(
                "evaluation chunk",
                self.link,
                start,
                now,
                evaluation=self.name,
                tenant=self.hold.claimed.tenant,
                model=self.hold.claimed.model_name,
                first=rows[0].index,
                images=len(rows),
                compute_seconds=sum(row.seconds for row in rows),
                commit_seconds=now - self.written,
            )

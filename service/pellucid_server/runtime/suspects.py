"""Model versions that took the process down, or that hung: tried with care, and refused in the end.

What a crash leaves is who was in work. Whoever was is a suspect, and of suspects only one runs at a
time, until it has run often enough: so a second crash has one suspect in work, and that one is
refused. So is whoever hangs again. What is known stands in a folder, as a process that crashed
remembers nothing.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock, RLock

import structlog

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.recorder import Doing, End, Key, Recorder, Told, read_ends
from pellucid_server.runtime.served import Subject
from pellucid_server.telemetry.metrics import Metrics

log = structlog.get_logger()

PROBATION = 1000
"""Inferences after which a suspect is one no more."""
CRASHES = 2
"""After which a version is refused."""
PATIENCE = 0.5
"""Seconds between looks at whether whoever ran alone was given up."""
NOBODY = nullcontext()
LIFT = "replace its files or call LoadModel to have it tried again"


@dataclass
class Record:
    """What is held against a model version."""

    name: str
    version: int
    files: str
    crashes: int = 0
    stalls: int = 0
    refusal: str = ""
    good: int = 0
    """Inferences since the last of these."""

    @property
    def subject(self) -> Subject:
        """Whom it is about."""
        return Subject(self.name, self.version, self.files)


class Suspects:
    """Remembers who crashed or hung; safe from many threads.

    `folder`: where it is remembered, and what is in work is told; None: in this process only.
    `stalls`: how many of them a version may have.
    """

    def __init__(
        self, folder: Path | None = None, *, stalls: int = 2, metrics: Metrics | None = None
    ) -> None:
        self._folder = folder / "models" if folder else None
        self._stalls = stalls
        self._metrics = metrics or Metrics()
        self._changing = Lock()
        self._alone = RLock()
        self._records: dict[Subject, Record] = {}
        self._unread: frozenset[Subject] = frozenset()
        self.crashed_evaluations: list[str] = []
        """Those that were computed when an earlier process crashed."""
        self._recorder: Recorder | None = None
        if folder:
            self._open(folder)
        self._metrics.models_refused.of_one(self._refused)

    def __contains__(self, subject: Subject) -> bool:
        return subject in self._records or subject in self._unread

    def refusal(self, subject: Subject) -> str:
        """Why a version is not served; "": it is."""
        record = self._records.get(subject)
        return record.refusal if record else ""

    def check(self, subject: Subject) -> None:
        """Raises ModelUnavailable where a version is refused."""
        if self._records and (reason := self.refusal(subject)):
            raise ModelUnavailable(
                f"{subject.name} version {subject.version} is not served: {reason}",
                field="model_name",
            )

    def admit(self, subject: Subject) -> None:
        """As `check`, with the reason alone; forgets what earlier files of the version did."""
        with self._changing:
            for each in tuple(self._records):
                if each[:2] == subject[:2] and each != subject:
                    self._forget(each)
        if reason := self.refusal(subject):
            raise ModelUnavailable(reason)

    def running(self, subject: Subject) -> AbstractContextManager[None]:
        """Tells that it is in work; a suspect waits until no other is."""
        told = self._told(Doing.RUN, subject)
        return self._careful(subject, told) if subject in self._records else told

    def reading(self, subject: Subject) -> AbstractContextManager[None]:
        """Tells that it is read: where a process ends in that, the next one suspects it."""
        return self._told(Doing.READ, subject)

    def evaluating(self, name: str) -> AbstractContextManager[None]:
        """Tells that an evaluation is computed."""
        return self._told(Doing.EVALUATE, (name,))

    def give_up(self) -> None:
        """Whoever runs alone does not come back: lets others."""
        self._alone = RLock()

    def stalled(self, subject: Subject, what: str) -> None:
        """It hung: noted, and refused where it did so too often."""
        self._change(subject, stalls=1, what=what)

    def refuse(self, subject: Subject, reason: str) -> None:
        """It is not served any more, and not after a restart."""
        with self._changing:
            record = self._of(subject)
            self._keep(replace(record, refusal=f"{reason}; {LIFT}"))

    def pardon(self, name: str, version: int | None = None) -> None:
        """Forgets what a version did, or all of a model's."""
        with self._changing:
            for subject in tuple(self._records):
                if subject.name == name and version in {None, subject.version}:
                    self._forget(subject)

    def close(self) -> None:
        """This process ends well."""
        if self._recorder:
            self._recorder.close()

    def _told(self, doing: Doing, key: Key) -> AbstractContextManager[None]:
        return Told(self._recorder, doing, key) if self._recorder else NOBODY

    @contextmanager
    def _careful(self, subject: Subject, told: AbstractContextManager[None]) -> Iterator[None]:
        alone = self._wait()
        try:
            with told:
                yield
            self._went_well(subject)
        finally:
            alone.release()

    def _refused(self) -> float:
        return sum(bool(each.refusal) for each in tuple(self._records.values()))

    def _wait(self) -> RLock:
        while True:
            alone = self._alone
            if alone.acquire(timeout=PATIENCE):
                if alone is self._alone:
                    return alone
                alone.release()

    def _went_well(self, subject: Subject) -> None:
        with self._changing:
            if (record := self._records.get(subject)) and not record.refusal:
                record.good += 1
                if record.good >= PROBATION:
                    self._forget(subject)
                    log.info("no suspect any more", model=subject.name, version=subject.version)

    def _change(self, subject: Subject, *, crashes: int = 0, stalls: int = 0, what: str) -> None:
        with self._changing:
            before = self._of(subject)
            after = replace(
                before, crashes=before.crashes + crashes, stalls=before.stalls + stalls, good=0
            )
            if not after.refusal and (after.crashes >= CRASHES or after.stalls >= self._stalls):
                after.refusal = f"{what}; {LIFT}"
                log.error(
                    "model refused", model=after.name, version=after.version, reason=after.refusal
                )
            self._keep(after)

    def _of(self, subject: Subject) -> Record:
        return self._records.get(subject) or Record(*subject)

    def _keep(self, record: Record) -> None:
        self._records = {**self._records, record.subject: record}
        if path := self._path(record.subject):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_suffix(f".{os.getpid()}")
                partial.write_text(json.dumps(asdict(record)), encoding="utf-8")
                partial.replace(path)
            except OSError as error:  # it is known to this process all the same
                log.warning("cannot remember a suspect", model=record.name, error=str(error))

    def _forget(self, subject: Subject) -> None:
        self._records = {each: kept for each, kept in self._records.items() if each != subject}
        if path := self._path(subject):
            path.unlink(missing_ok=True)

    def _path(self, subject: Subject) -> Path | None:
        return self._folder and self._folder / f"{subject.name}@{subject.version}.json"

    def _open(self, folder: Path) -> None:
        for path in sorted((folder / "models").glob("*.json")):
            try:
                record = Record(**json.loads(path.read_text(encoding="utf-8")))
                self._records[record.subject] = record
            except (OSError, ValueError, TypeError) as error:
                log.warning("cannot read a suspect", path=str(path), error=str(error))
        for end in read_ends(folder / "running"):
            self._unread |= _subjects(end, Doing.READ)
            if end.trace:
                self._blame(end)
        try:
            self._recorder = Recorder(folder / "running")
        except OSError as error:
            log.warning("what is in work is not told: crashes go unexplained", error=str(error))

    def _blame(self, crash: End) -> None:
        """One suspect that was in work did it; else it may be any that was."""
        in_work = _subjects(crash, Doing.READ, Doing.RUN)
        versions = [f"{each.name}/{each.version}" for each in sorted(in_work)]
        evaluations = [str(name) for (name,) in crash.keys(Doing.EVALUATE)]
        self.crashed_evaluations += evaluations
        log.error(
            "the server crashed before",
            in_work=versions,
            evaluations=evaluations,
            trace=crash.trace,
        )
        known = {each for each in in_work if each in self._records}
        for subject in known or in_work:
            crashes = self._of(subject).crashes + 1
            self._change(subject, crashes=1, what=f"it was in work in {crashes} crashes")


def _subjects(end: End, *doing: Doing) -> frozenset[Subject]:
    return frozenset(
        Subject(str(name), int(version), str(files)) for name, version, files in end.keys(*doing)
    )

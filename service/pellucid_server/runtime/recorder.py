"""What a process was doing when it died: read by the one that is started after it.

Numbers in mapped memory tell what is in work: they outlive the process, and cost less than a
microsecond to write. Python's fault handler writes beside them, and only a native crash
makes it write: a process that was killed leaves no trace. Nor does a stack that overflows, as files
that are read may make it.
"""

import faulthandler
import fcntl
import json
import mmap
import os
import shutil
import struct
import uuid
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock

import structlog

log = structlog.get_logger()

SLOTS = 4096
"""Things in work at once that are told; more are not."""
NUMBER = struct.Struct("=I")
SLOT_FILE, NAMES, TRACE = "slots", "names", "trace"
TRACE_BYTES = 4000

Key = tuple[str | int, ...]
"""What something is done with."""


class Doing(StrEnum):
    """What is done."""

    READ = "read"
    RUN = "run"
    EVALUATE = "evaluate"


@dataclass(frozen=True)
class End:
    """How an earlier process ended: what was in work, and where threads stood if it crashed."""

    work: frozenset[tuple[Doing, Key]]
    trace: str

    def keys(self, *doing: Doing) -> frozenset[Key]:
        """What it did this with."""
        return frozenset(key for done, key in self.work if done in doing)


class Recorder:
    """Tells a later process what is in work in this one.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / uuid.uuid4().hex
        self._folder.mkdir(parents=True)
        self._file = (self._folder / SLOT_FILE).open("w+b")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        size = SLOTS * NUMBER.size
        os.posix_fallocate(self._file.fileno(), 0, size)  # a full disk is found here, not later
        self._map = mmap.mmap(self._file.fileno(), size)
        self._slots = memoryview(self._map).cast("I")
        self._free = deque(range(SLOTS))
        self._numbers: dict[tuple[Doing, Key], int] = {}
        self._naming = Lock()
        self._names = (self._folder / NAMES).open("a", encoding="utf-8")
        self._trace = (self._folder / TRACE).open("wb")
        faulthandler.enable(self._trace, all_threads=True)

    def begin(self, doing: Doing, key: Key) -> int | None:
        """Something is begun; returns what `end` wants."""
        work = (doing, key)
        number = self._numbers.get(work) or self._name(work)
        try:
            slot = self._free.popleft()
        except IndexError:
            return None
        self._slots[slot] = number
        return slot

    def end(self, slot: int | None) -> None:
        """It is done."""
        if slot is not None:
            self._slots[slot] = 0
            self._free.append(slot)

    def close(self) -> None:
        """This process ends well."""
        faulthandler.disable()
        self._slots.release()
        for each in (self._trace, self._names, self._map, self._file):
            each.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _name(self, work: tuple[Doing, Key]) -> int:
        with self._naming:
            if work not in self._numbers:
                self._names.write(json.dumps(work) + "\n")
                self._names.flush()
                self._numbers[work] = len(self._numbers) + 1
            return self._numbers[work]


class Told:
    """Something is done from entering it to leaving it."""

    __slots__ = ("_doing", "_key", "_recorder", "_slot")

    def __init__(self, recorder: Recorder, doing: Doing, key: Key) -> None:
        self._recorder, self._doing, self._key = recorder, doing, key

    def __enter__(self) -> None:
        self._slot = self._recorder.begin(self._doing, self._key)

    def __exit__(self, *_: object) -> None:
        self._recorder.end(self._slot)


def read_ends(folder: Path) -> list[End]:
    """Those of processes that are no more and did not end well; each is told once.

    Processes that live hold a lock on their file: several may share the folder.
    """
    if not folder.is_dir():
        return []
    found = [_read(each) for each in sorted(folder.iterdir()) if each.is_dir()]
    return [each for each in found if each]


def _read(folder: Path) -> End | None:
    try:
        with (folder / SLOT_FILE).open("rb") as slots:
            fcntl.flock(slots, fcntl.LOCK_EX | fcntl.LOCK_NB)
            end = _end(folder, slots.read())
            shutil.rmtree(folder, ignore_errors=True)
            return end
    except BlockingIOError:
        return None
    except (OSError, ValueError, IndexError, struct.error) as error:
        log.warning("cannot read how a server ended", folder=str(folder), error=str(error))
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _end(folder: Path, slots: bytes) -> End:
    trace = (folder / TRACE).read_text(encoding="utf-8", errors="replace")[:TRACE_BYTES]
    lines = (folder / NAMES).read_text(encoding="utf-8").splitlines()
    numbers = {number for (number,) in NUMBER.iter_unpack(slots) if number}
    work = [json.loads(lines[each - 1]) for each in numbers]
    return End(frozenset((Doing(doing), tuple(key)) for doing, key in work), trace)

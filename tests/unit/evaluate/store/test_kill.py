import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import NewEvaluation, Store, open_store

KILLS = 20
CHUNK = 7
WRITERS = f"""
import os, sys
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import open_store

def write():
    store = open_store(sys.argv[1])
    claimed = store.claim("writer", 0.0)
    print(os.getpid(), flush=True)
    while True:
        start = store.next_index(claimed.name)
        chunk = range(start, start + {CHUNK})
        rows = [Row(index, f"{{index}}.jpg", score=index / 7) for index in chunk]
        store.append(claimed.name, claimed.token, rows)

for _ in sys.stdin:
    writer = os.fork()
    if not writer:
        write()
    print(os.waitpid(writer, 0)[1], flush=True)
"""
"""Starts a writer for each line: a process of its own, which says its number when it writes."""


@pytest.fixture
def writers(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", WRITERS, f"sqlite:///{tmp_path}/store.db"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process


def test_kill_at_any_moment_leaves_whole_chunks_in_order(
    tmp_path: Path, new: NewEvaluation, writers: "subprocess.Popen[str]"
) -> None:
    """A writer is killed 20 times; each goes on where the one before was, none loses a chunk."""
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    name, before, moments = store.create(new).name, 0, random.Random(7)  # noqa: S311  # moments
    for _ in range(KILLS):
        _write_and_kill(writers, moments.uniform(0.0, 0.1))
        done = store.get(name).done
        assert done >= before
        before = done
        _check(store, name, done)
    assert before > KILLS * CHUNK
    store.close()


def _write_and_kill(writers: "subprocess.Popen[str]", seconds: float) -> None:
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write("\n")
    writers.stdin.flush()
    writer = int(writers.stdout.readline())
    time.sleep(seconds)
    os.kill(writer, signal.SIGKILL)
    assert int(writers.stdout.readline()) == signal.SIGKILL


def _check(store: Store, name: str, done: int) -> None:
    rows = list(store.rows(name))
    assert done % CHUNK == 0
    assert rows == [Row(index, f"{index}.jpg", score=index / 7) for index in range(done)]
    assert store.next_index(name) == done
    last = store.examples(name, page_size=5, descending=True).items
    assert list(last) == rows[::-1][:5]

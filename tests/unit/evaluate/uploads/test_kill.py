"""A server that is killed at any moment leaves a store that others go on with."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pellucid_server.evaluate.uploads import Uploaded, Uploads

Make = Callable[..., Uploads]
Send = Callable[[Uploads, Mapping[str, bytes]], Uploaded]
KILLS = 10

SERVER = """
import hashlib, itertools, random, sys
from pathlib import Path
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.uploads import Uploads

uploads = Uploads(Path(sys.argv[1]), quota=10**9, expiry=0.05, limits=Limits())
numbers = random.Random(int(sys.argv[2]))
for turn in itertools.count():
    listed = []
    for number in range(numbers.randrange(1, 4)):
        data = numbers.randbytes(numbers.randrange(1, 30_000))
        sha256 = hashlib.sha256(data).digest()
        pieces = (data[at:at + 500] for at in range(0, len(data), 500))
        uploads.write(sha256, len(data), 0, pieces)
        listed.append((f"{number}", sha256, len(data)))
    print(uploads.commit(listed).name, flush=True)
    if turn % 5 == 4:
        uploads.sweep()
"""


def run_and_kill(root: Path, turn: int) -> None:
    command = [sys.executable, "-c", SERVER, str(root), str(turn)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        time.sleep(random.Random(turn).uniform(0, 0.05))  # noqa: S311 # when to kill
        server.kill()
        server.wait()
    assert server.returncode == -signal.SIGKILL


def check(root: Path, uploads: Uploads) -> None:
    for blob in (root / "blobs").glob("*/*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    for manifest in (root / "sets").glob("[!.]*"):
        files = uploads.open(f"uploads/{manifest.name}")
        assert [len(files.read(path, 10**6)) for path in files.walk()] == [
            files.size(path) for path in files.walk()
        ]


def test_the_store_is_whole_after_every_kill(root: Path, make: Make, send: Send) -> None:
    for turn in range(KILLS):
        run_and_kill(root, turn)
        check(root, make())
        name = send(make(), {"a": b"1", "b": b"2" * turn}).name
        assert make().open(name).read("a", 10) == b"1"
    time.sleep(0.02)
    make(expiry=0.01).sweep()
    assert [p for p in root.rglob("*") if p.is_file() and p.name not in {"lock", "usage"}] == []
    assert int((root / "usage").read_bytes()) == 0

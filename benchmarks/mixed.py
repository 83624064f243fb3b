"""A mixture of calls as a busy server sees it: right ones, wrong ones, and callers that leave."""

import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.request import urlopen

import numpy as np

import pellucid
from benchmarks.datasets import photos
from benchmarks.photos import COFFEE, large_jpeg, small_jpeg
from benchmarks.server import CLASSIFIER, Server, serving

DICE = Random(0)  # noqa: S311  # no secret
DETECTOR, RELOADED = "nanodet", "selfie-segmentation"
IMAGES, MASKS, MANY = 24, 64, 10_000
PAUSES = (0.0, 0.05)
"""Seconds between two calls of a caller, at random."""
CALLERS = 4
FLAGS = ("--uploads-expiry=30", "--uploads-sweep-interval=5")
"""Uploads go while the server runs, so that what is kept does not grow by itself."""


@dataclass(frozen=True)
class Mixture:
    """The calls; each method is one, and raises where the answer is not what it has to be."""

    server: Server
    metrics: str

    def predict(self) -> None:
        """A photo as a JPEG, by the classifier or the detector."""
        data = DICE.choice((small_jpeg(), large_jpeg()))
        self.server.client.predict(data, model=DICE.choice((CLASSIFIER, DETECTOR)))

    def predict_tensor(self) -> None:
        """A tensor of 600 KB."""
        tensor = np.zeros((1, 3, 224, 224), np.float32)
        self.server.client.predict({"": tensor}, model=CLASSIFIER)

    def predict_stream(self) -> None:
        """Photos on one stream, a broken one among them; every other time it is left half-way."""
        outcomes = self.server.client.predict_many(
            [small_jpeg(), b"no image", *[small_jpeg()] * 6], model=CLASSIFIER
        )
        for _ in zip(range(DICE.choice((3, 8))), outcomes, strict=False):
            pass
        outcomes.close()  # type: ignore[attr-defined]  # a generator

    def explain(self) -> None:
        """To the end."""
        self.server.explain(COFFEE, num_masks=MASKS)

    def hang_up(self) -> None:
        """A long explanation, left at its first progress."""
        with self.server.client.explain(
            COFFEE, model=CLASSIFIER, num_masks=MANY, progress_interval=0.01
        ) as stream:
            next(event for event in stream if isinstance(event, pellucid.Progress))

    def time_out(self) -> None:
        """A call whose time is over before it is answered."""
        refused(
            pellucid.DeadlineExceededError,
            lambda: self.server.client.predict(large_jpeg(), model=CLASSIFIER, timeout=0.001),
        )

    def evaluate(self) -> None:
        """A data set, its rows, one of them as a picture; then it is deleted."""
        client = self.server.client
        stream = client.evaluate("set", model=CLASSIFIER)
        name = stream.accepted().name
        stream.result()
        list(client.examples(name))
        client.render_example(name, 0)
        client.delete_evaluation(name)

    def cancel(self) -> None:
        """An evaluation that is stopped as soon as it is accepted."""
        stream = self.server.client.evaluate("set", model=CLASSIFIER)
        name = stream.accepted().name
        self.server.client.cancel_evaluation(name)
        self.server.client.delete_evaluation(name)

    def upload(self) -> None:
        """A folder that the server has not seen before."""
        with tempfile.TemporaryDirectory() as folder:
            for index in range(4):
                label = Path(folder) / f"class-{index % 2}"
                label.mkdir(exist_ok=True)
                (label / f"{index}.jpg").write_bytes(small_jpeg() + DICE.randbytes(64))
            self.server.client.upload_dataset(Path(folder))

    def reload(self) -> None:
        """A model goes and comes back, and is used, so that it is compiled anew."""
        client = self.server.client
        client.unload_model(RELOADED)
        client.load_model(RELOADED)
        client.predict(small_jpeg(), model=RELOADED)

    def list_all(self) -> None:
        """What there is, on a connection of its own."""
        with pellucid.Client(self.server.target) as client:
            client.models()
            client.methods()
            list(client.evaluations())
            client.health()

    def wrong_model(self) -> None:
        """A model that does not exist."""
        name = f"no-model-{DICE.randrange(10**9)}"
        refused(
            pellucid.NotFoundError, lambda: self.server.client.predict(small_jpeg(), model=name)
        )

    def wrong_image(self) -> None:
        """Bytes that begin as a photo does."""
        data = small_jpeg()[: DICE.randrange(300)] + DICE.randbytes(1000)
        refused(
            pellucid.InvalidArgumentError,
            lambda: self.server.client.predict(data, model=CLASSIFIER),
        )

    def scrape(self) -> None:
        """The metrics."""
        with urlopen(self.metrics, timeout=30) as page:  # noqa: S310  # ours, on loopback
            page.read()


def refused(kind: type[Exception], call: Callable[[], object]) -> None:
    """Makes a call that has to fail so."""
    try:
        call()
    except kind:
        return
    raise AssertionError(f"the call was to end in {kind.__name__}")


SHARES = {
    Mixture.predict: 40,
    Mixture.predict_tensor: 10,
    Mixture.predict_stream: 4,
    Mixture.explain: 4,
    Mixture.hang_up: 3,
    Mixture.time_out: 3,
    Mixture.evaluate: 1,
    Mixture.cancel: 1,
    Mixture.upload: 1,
    Mixture.reload: 1,
    Mixture.list_all: 4,
    Mixture.wrong_model: 5,
    Mixture.wrong_image: 5,
    Mixture.scrape: 4,
}
"""How often each call is made, of all of them."""


@dataclass
class Traffic:
    """Callers, each of which makes one call after another."""

    mixture: Mixture
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    """Calls that did not end as they were to, with the reason."""
    _reloading: threading.Lock = field(default_factory=threading.Lock)

    def once(self) -> None:
        """Every call, one after another: what is made on first use is there then."""
        for call in SHARES:
            self._make(call)

    def run(self, seconds: float) -> None:
        """All callers at once."""
        end = time.monotonic() + seconds
        with ThreadPoolExecutor(CALLERS) as callers:
            list(callers.map(self._call, [end] * CALLERS))

    def _call(self, end: float) -> None:
        calls, shares = list(SHARES), list(SHARES.values())
        while time.monotonic() < end:
            call = DICE.choices(calls, shares)[0]
            try:
                self._make(call)
            except Exception as error:  # noqa: BLE001  # the others go on
                self.failed[f"{call.__name__}: {type(error).__name__}: {error}"] += 1
            time.sleep(DICE.uniform(*PAUSES))

    def _make(self, call: Callable[[Mixture], None]) -> None:
        if call is Mixture.reload:
            with self._reloading:  # two at once would take the model from each other
                call(self.mixture)
        else:
            call(self.mixture)
        self.done[call.__name__] += 1


@contextmanager
def traffic() -> Iterator[Traffic]:
    """On a fresh server of the zoo."""
    port = _free_port()
    with (
        photos(IMAGES) as root,
        serving(f"--data-roots={root}", f"--metrics-port={port}", *FLAGS) as server,
    ):
        yield Traffic(Mixture(server, f"http://127.0.0.1:{port}/metrics"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

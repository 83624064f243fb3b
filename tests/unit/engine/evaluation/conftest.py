"""Evaluations of the classifier of quarters on sets of small images, kept in SQLite files."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from pellucid_server.call import Call
from pellucid_server.engine.evaluation.board import Board
from pellucid_server.engine.evaluation.comparer import Comparer
from pellucid_server.engine.evaluation.plan import Planner
from pellucid_server.engine.evaluation.request import EvaluationRequest
from pellucid_server.engine.evaluation.run import Runner
from pellucid_server.engine.evaluation.samples import ImageLimits
from pellucid_server.engine.evaluation.service import Evaluations
from pellucid_server.engine.explain import Explainer
from pellucid_server.engine.tasks import TaskModels
from pellucid_server.evaluate.open import Places
from pellucid_server.evaluate.report import Row
from pellucid_server.evaluate.store import Evaluation, NewEvaluation, State, Store, open_store
from pellucid_server.runtime.pool import ModelPool

QUARTERS = ("top left", "top right", "bottom left", "bottom right")
LIMITS = ImageLimits(pixels=100_000, bytes=100_000)
LEASE = 30.0
MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of its own is made there


def picture(quarter: int, shade: int = 250) -> bytes:
    """A dark image with one bright quarter, as large as the model's input, as PNG."""
    image = np.full((16, 24, 3), 30, np.uint8)
    top, left = divmod(quarter, 2)
    image[8 * top : 8 * top + 8, 12 * left : 12 * left + 12] = shade
    return cv2.imencode(".png", image)[1].tobytes()


def write_folders(root: Path, count: int, wrong: tuple[int, ...] = ()) -> Path:
    """A folder for each class, `count` images in all; those at `wrong` show the next quarter."""
    for index in range(count):
        annotated = index % 4
        shown = (annotated + (index in wrong)) % 4
        folder = root / QUARTERS[annotated]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:05}.png").write_bytes(picture(shown, 100 + index % 150))
    return root


def write_list(root: Path, lines: list[str]) -> Path:
    """A CSV of paths and labels, with the images of all that is called `INDEX.png`."""
    root.mkdir(parents=True, exist_ok=True)
    for index in range(4):
        (root / f"{index}.png").write_bytes(picture(index))
    (root / "list.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder from which data sets are read."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def twelve(data: Path) -> str:
    """A set of twelve images, of which 2 and 7 are annotated wrong."""
    write_folders(data / "twelve", 12, wrong=(2, 7))
    return "twelve"


@pytest.fixture
def store() -> Iterator[Store]:
    """In memory, where there is such a folder: there fsync takes no time."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        store = open_store(f"sqlite:///{folder}/evaluations.db", patience=1)
        yield store
        store.close()


@pytest.fixture
def planner(models: Any, data: Path) -> Planner:
    return Planner(models, TaskModels(), Places([data]))


@pytest.fixture
def runner(store: Store, planner: Planner, pool: ModelPool) -> Runner:
    return Runner(store, planner, pool, LIMITS, Board(), LEASE)


@pytest.fixture
def evaluations(store: Store, planner: Planner, runner: Runner) -> Iterator[Evaluations]:
    """A service whose thread runs what is submitted."""
    service = Evaluations(store, planner, runner, "me")
    service.start()
    yield service
    service.close()


@pytest.fixture
def waiting(store: Store, planner: Planner, runner: Runner) -> Evaluations:
    """A service without a thread: what is submitted waits."""
    return Evaluations(store, planner, runner, "me")


@pytest.fixture
def comparer(store: Store, planner: Planner, explainer: Explainer, models: Any) -> Comparer:
    return Comparer(store, planner, explainer, models)


Run = Callable[..., Evaluation]


@pytest.fixture
def run(waiting: Evaluations, runner: Runner, store: Store) -> Run:
    """Submits a request, runs it here to its end, and says how it stands."""

    def go(request: EvaluationRequest) -> Evaluation:
        name = waiting.submit(request, Call()).name
        claimed = store.claim("me", LEASE)
        assert claimed is not None
        assert claimed.name == name
        runner.run(claimed)
        return store.get(name)

    return go


def asked(dataset: str, **settings: Any) -> EvaluationRequest:
    """A request of the model of quarters."""
    return EvaluationRequest("quarters", dataset, **settings)


def without_seconds(rows: Iterator[Row]) -> list[Row]:
    """Rows but for how long they took."""
    return [replace(row, seconds=0.0) for row in rows]


def new(request: EvaluationRequest, **changes: Any) -> NewEvaluation:
    """As `submit` makes it, without a look at the request."""
    made = NewEvaluation(
        request=request.to_json(),
        model_name=request.model_name,
        model_version="1",
        task="classification",
    )
    return replace(made, **changes)


def finished(store: Store, name: str) -> Evaluation:
    """An evaluation that some thread runs, once it ended."""
    wait = threading.Event()
    for _ in range(1000):
        evaluation = store.get(name)
        if evaluation.state in {State.SUCCEEDED, State.FAILED, State.CANCELLED}:
            return evaluation
        wait.wait(0.02)
    raise AssertionError("it did not end")


@dataclass
class SlowPool:
    """A pool whose inferences wait until the gate opens; `asked` counts them."""

    pool: ModelPool
    gate: threading.Event
    asked: int = 0

    def infer(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        call: Call = args[3]
        while not self.gate.wait(0.01):
            call.check()
        return self.pool.infer(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pool, name)


@pytest.fixture
def slow(runner: Runner, pool: ModelPool) -> Iterator[SlowPool]:
    """Holds the inferences of the runner up."""
    slow = SlowPool(pool, threading.Event())
    runner.pool = cast("ModelPool", slow)
    yield slow
    slow.gate.set()

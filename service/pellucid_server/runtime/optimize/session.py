"""The server's side of an optimisation: it gives items and verdicts, and sees how far it is."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from pellucid_server.call import Call
from pellucid_server.errors import InvalidInput, PellucidError
from pellucid_server.runtime.optimize.messages import (
    Ask,
    Failed,
    Finished,
    Job,
    Pull,
    Ran,
    Run,
    Saving,
)
from pellucid_server.runtime.optimize.new_version import unwritable
from pellucid_server.runtime.optimize.plan import FEWEST, Plan, Progress, Stage, Verdict
from pellucid_server.runtime.optimize.process import Process
from pellucid_server.types import Feeds, Outputs

LONGEST_REASON = 300


class Session:
    """One optimisation, from its job to the file that is written."""

    def __init__(self, process: Process, plan: Plan, call: Call) -> None:
        self._process = process
        self._plan = plan
        self._call = call
        self._items: Iterator[Feeds] = iter(())
        self._passes = 0
        self._hash = hashlib.sha256()
        self._judgements = 0
        self.calibrated = 0
        """Items that the model was calibrated with."""
        self.metrics: list[float] = []
        """Over all items that there are to judge with: of the parent, quantised, and so on."""
        self.tools: Mapping[str, str] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of the items of the calibration; "" where there were none."""
        return self._hash.hexdigest() if self.calibrated else ""

    def run(self, job: Job) -> Iterator[Progress]:
        """Does the job.

        Raises:
            PellucidError: the calibration's or the judge's own, too few items, a model that
                NNCF cannot quantise, a process that ended, Cancelled, DeadlineExceeded.
        """
        self._process.send(job)
        while True:
            match self._process.receive(self._call):
                case Pull(index):
                    yield from self._give(index)
                case Ask() as asked:
                    yield from self._judge(asked)
                case Saving():
                    yield Progress(Stage.SAVE, 0, 1)
                case Finished(tools):
                    self.tools = tools
                    return
                case Failed(reason, saving):
                    self._process.log_output()
                    raise _refusal(reason, saving=saving)
                case Ran():
                    raise AssertionError("outputs that nobody asked for")

    def _give(self, index: int) -> Iterator[Progress]:
        wanted = self._plan.quantization.calibration_size
        if index == 0:
            self._items = self._plan.calibration()
            self._passes += 1
        feeds = next(self._items, None) if index < wanted else None
        if feeds is None:
            _require_enough(index)
        elif self._passes == 1:
            self._note(feeds)
        self._process.send(feeds)
        if feeds is None or index + 1 == wanted:
            yield Progress(Stage.QUANTISE, 0, 1)
        else:
            before = (self._passes - 1) * wanted
            yield Progress(Stage.CALIBRATE, before + index + 1, self._passes * wanted)

    def _note(self, feeds: Feeds) -> None:
        self.calibrated += 1
        for name, array in sorted(feeds.items()):
            self._hash.update(f"{name} {array.dtype} {array.shape}".encode())
            self._hash.update(np.ascontiguousarray(array).tobytes())

    def _judge(self, asked: Ask) -> Iterator[Progress]:
        if self._plan.judge is None:
            raise AssertionError("a verdict where no drop is limited")
        if not self._judgements:
            yield Progress(Stage.QUANTISE, 1, 1)
        verdict = self._plan.judge(self._infer, asked.indices)
        self._judgements += 1
        if len(asked.indices) == self._plan.judged:
            _require_number(verdict)
            self.metrics.append(verdict.metric)
        self._process.send(_finite(verdict))
        yield self._judged(asked)

    def _judged(self, asked: Ask) -> Progress:
        """Of the parent, quantised, and at last of what is written; the rest restores accuracy."""
        done = len(self.metrics)
        is_part = 1 < len(asked.indices) < self._plan.judged
        if (done > 2 or (done == 2 and is_part)) and not asked.last:
            return Progress(Stage.RESTORE_ACCURACY, self._judgements, 0)
        return Progress(Stage.VALIDATE, min(done, 3), 3)

    def _infer(self, feeds: Feeds) -> Outputs:
        self._process.send(Run(feeds))
        answer = self._process.receive(self._call)
        if isinstance(answer, Failed):
            self._process.log_output()
            raise _refusal(answer.reason, saving=False)
        if not isinstance(answer, Ran):
            raise TypeError(f"outputs were asked for, not {type(answer).__name__}")
        return answer.outputs


def _require_number(verdict: Verdict) -> None:
    if not np.isfinite(verdict.metric):
        raise InvalidInput(
            f"the metric over the calibration set is {verdict.metric}: max_accuracy_drop needs "
            "annotations that fit the model",
            field="dataset",
        )


def _finite(verdict: Verdict) -> Verdict:
    """Of a single item some metrics are no number: it then says nothing for or against a layer."""
    metric, *scores = np.nan_to_num([verdict.metric, *verdict.scores]).tolist()
    return Verdict(metric, tuple(scores))


def _require_enough(items: int) -> None:
    if items < FEWEST:
        raise InvalidInput(
            f"the calibration set has {items} images that can be used: at least {FEWEST} are "
            "needed, and 300 are usual",
            field="dataset",
        )


def _refusal(reason: str, *, saving: bool) -> PellucidError:
    telling = " ".join(reason.split())[:LONGEST_REASON]
    if saving:
        return unwritable("the new version could not be written")
    return InvalidInput(
        f"NNCF cannot quantise this model: {telling}; leave the layers that it names as they are, "
        "or compress the weights to FP16 instead",
        field="optimization",
    )

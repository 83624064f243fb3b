"""What the process that optimises does."""

import itertools
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import openvino as ov

from pellucid_server.runtime.optimize.graphs import is_quantized
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
from pellucid_server.runtime.optimize.plan import Quantization, Verdict
from pellucid_server.types import Feeds

PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


class Work:
    """Does a job, and asks the server for what it needs."""

    def __init__(self, server: Connection, job: Job) -> None:
        self._server = server
        self._job = job
        self._prepare: Callable[[Feeds], Feeds] = lambda feeds: feeds

    def run(self) -> None:
        """Answers with `Finished` or `Failed`."""
        saving = False
        try:
            graph = ov.Core().read_model(self._job.model)
            how = self._job.quantization
            if how is not None:
                graph = self._quantized(graph, how)
            saving = True
            self._server.send(Saving())
            ov.save_model(graph, self._job.target, compress_to_fp16=how is None)
            self._server.send(Finished(_tools("openvino", *(["nncf"] if how else []))))
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must hear of it
            traceback.print_exc()
            self._server.send(Failed(str(error) or type(error).__name__, saving))

    def _quantized(self, graph: ov.Model, how: Quantization) -> ov.Model:
        from pellucid_server.runtime.optimize.quantize import (  # noqa: PLC0415 - imports an extra
            CompiledJudge,
            quantize,
        )

        if self._job.preparing:
            self._prepare = _preparation(self._job.preparing, graph)
        judge = CompiledJudge(self._judge, self._job.judged)
        graph = quantize(graph, _Items(self._pulled), how, judge)
        if how.max_drop is not None and is_quantized(graph):
            compiled = ov.compile_model(graph, "CPU", PRECISION)
            self._judge(compiled, range(judge.items), last=True)
        return graph

    def _pulled(self) -> Iterator[Feeds]:
        for index in itertools.count():
            feeds = self._asked(Pull(index))
            if feeds is None:
                return
            yield self._prepare(feeds)

    def _judge(
        self, compiled: ov.CompiledModel, indices: Sequence[int], *, last: bool = False
    ) -> Verdict:
        answer = self._asked(Ask(tuple(indices), last))
        while isinstance(answer, Run):
            results = compiled(dict(self._prepare(answer.feeds)))
            arrays = (results[side] for side in compiled.outputs)
            answer = self._asked(Ran(dict(zip(self._job.outputs, arrays, strict=True))))
        verdict: Verdict = answer
        return verdict

    def _asked(self, message: Any) -> Any:
        self._server.send(message)
        return self._server.recv()


class _Items:
    """Items that begin anew at each iteration, as NNCF needs them."""

    def __init__(self, begin: Callable[[], Iterator[Feeds]]) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[Feeds]:
        return self._begin()


def _preparation(path: Path, graph: ov.Model) -> Callable[[Feeds], Feeds]:
    compiled = ov.compile_model(path, "CPU", PRECISION)
    names = [side.get_any_name() for side in graph.inputs]

    def prepare(feeds: Feeds) -> Feeds:
        results = compiled(dict(feeds))
        arrays = (results[side].copy() for side in compiled.outputs)
        return dict(zip(names, arrays, strict=True))

    return prepare


def _tools(*packages: str) -> dict[str, str]:
    return {name: version(name) for name in packages}

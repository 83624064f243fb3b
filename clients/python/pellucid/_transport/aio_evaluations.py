# ruff: noqa: ASYNC109 - gRPC keeps the deadline itself, and tells the server of it
"""The calls about evaluations, for asyncio."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from pellucid._transport import local_files, uploads
from pellucid._transport.aio_evaluation_stream import EvaluationStream, OptimizationStream
from pellucid._transport.calls import STREAM_TIMEOUT, Attempt
from pellucid._transport.local_files import OnProgress
from pellucid._transport.unary import AioUnaryCaller
from pellucid._wire import evaluations, examples
from pellucid._wire.comparisons import comparison
from pellucid._wire.evaluations import EvaluateOptions, Place
from pellucid._wire.examples import ExampleFilters
from pellucid._wire.optimizations import OptimizeOptions, optimize_request
from pellucid.comparisons import Comparison
from pellucid.evaluations import Evaluation, Example, RenderedExample
from pellucid.uploads import UploadedDataset
from pellucid.v1 import evaluation_pb2 as pb
from pellucid.v1.evaluation_pb2_grpc import EvaluationServiceStub

if TYPE_CHECKING:
    from pellucid.v1.evaluation_pb2_grpc import EvaluationServiceAsyncStub
    from pellucid.v1.model_pb2_grpc import ModelServiceAsyncStub


class EvaluationCalls(AioUnaryCaller):
    """Measures models on data sets, compares and optimises them."""

    _evaluations: "EvaluationServiceAsyncStub"
    _models: "ModelServiceAsyncStub"

    def evaluate(
        self,
        dataset: Place,
        *,
        model: str,
        upload: bool | None = None,
        on_upload: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[EvaluateOptions],
    ) -> EvaluationStream:
        """Evaluates a model on a data set; an upload and the call begin with the first event."""
        build = partial(evaluations.evaluate_request, model=model, **options)
        attempt = self._attempt(timeout)

        async def start() -> Any:
            request = build(await self._placed(dataset, upload, on_upload))
            return self._evaluations.EvaluateDataset(request, **attempt.options())

        return EvaluationStream(start, attempt, self)

    def watch_evaluation(
        self, name: str, *, resume: bool = False, timeout: float | None = None
    ) -> EvaluationStream:
        """Joins a running or finished evaluation: the same events from where it stands.

        With `resume` one that failed or was cancelled goes on from its rows first.
        """
        attempt = self._attempt(timeout)

        async def start() -> Any:
            return self._watch(name, attempt, resume=resume)

        return EvaluationStream(start, attempt, self)

    async def cancel_evaluation(self, name: str) -> Evaluation:
        """Stops an evaluation within one batch; its rows so far stay."""
        request = pb.CancelEvaluationRequest(evaluation=name)
        response = await self._unary(self._evaluations.CancelEvaluation, request)
        return evaluations.evaluation(response.evaluation)

    async def evaluations(self, model: str = "", state: str = "") -> AsyncIterator[Evaluation]:
        """The evaluations, newest first, page by page; of one model, or in one state."""
        request = evaluations.list_request(model, state)
        while True:
            response = await self._unary(self._evaluations.ListEvaluations, request)
            for each in response.evaluations:
                yield evaluations.evaluation(each)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def evaluation(self, name: str) -> Evaluation:
        """One evaluation, with its report where it has one."""
        request = pb.GetEvaluationRequest(evaluation=name)
        return evaluations.described(await self._unary(self._evaluations.GetEvaluation, request))

    async def examples(
        self, evaluation: str, **filters: Unpack[ExampleFilters]
    ) -> AsyncIterator[Example]:
        """The rows of an evaluation, page by page, one for each image.

        `order` is dataset, confidence, rank or score; ascending scores give the worst first.
        """
        request = examples.examples_request(evaluation, **filters)
        while True:
            response = await self._unary(self._evaluations.ListExamples, request)
            for each in response.examples:
                yield examples.example(each)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def render_example(
        self,
        evaluation: str,
        index: int,
        *,
        max_side: int = 0,
        annotation: bool = True,
        explanation: bool = False,
    ) -> RenderedExample:
        """The image of a row with its prediction, the annotation and the map beside it."""
        request = pb.RenderExampleRequest(
            evaluation=evaluation,
            index=index,
            max_side=max_side,
            annotation=annotation,
            explanation=explanation,
        )
        return examples.rendered(await self._unary(self._evaluations.RenderExample, request))

    async def delete_evaluation(self, name: str) -> None:
        """Deletes an evaluation that does not run, with its rows."""
        request = pb.DeleteEvaluationRequest(evaluation=name)
        await self._unary(self._evaluations.DeleteEvaluation, request)

    async def compare_evaluations(
        self,
        baseline: str,
        candidate: str,
        *,
        explained_images: int = 0,
        resamples: int = 0,
        flips: int = 0,
        timeout: float | None = STREAM_TIMEOUT,
    ) -> Comparison:
        """Compares two evaluations of one data set image by image.

        `explained_images` are explained with both models, and the maps correlated; 0 of the
        others are the server's own numbers.
        """
        request = pb.CompareEvaluationsRequest(
            baseline=baseline,
            candidate=candidate,
            explained_images=explained_images,
            resamples=resamples,
            flips=flips,
        )
        return comparison(await self._unary(self._evaluations.CompareEvaluations, request, timeout))

    async def upload_dataset(
        self, path: Place, *, progress: OnProgress | None = None, timeout: float | None = None
    ) -> UploadedDataset:
        """Sends a folder, a zip or a tar; what the server has already is not sent again.

        A connection that breaks is taken up again. The same files get the same name.
        """
        with self._endpoint.channel() as channel:  # closing it ends what a thread still sends
            return await asyncio.to_thread(
                uploads.upload,
                EvaluationServiceStub(channel),
                path,
                progress,
                lambda: self._attempt(timeout),
            )

    def optimize(
        self,
        model: str,
        *,
        dataset: Place = "",
        kind: str = "int8",
        upload: bool | None = None,
        on_upload: OnProgress | None = None,
        timeout: float | None = None,
        **options: Unpack[OptimizeOptions],
    ) -> OptimizationStream:
        """Quantises a model to int8 on a calibration set, or compresses it to fp16.

        The result is a new version, which the server serves at once.
        """
        attempt = self._attempt(timeout)

        async def start() -> Any:
            place = await self._placed(dataset, upload, on_upload)
            request = optimize_request(model, kind, place, **options)
            return self._models.OptimizeModel(request, **attempt.options())

        return OptimizationStream(start, attempt)

    async def _placed(
        self,
        dataset: Place,
        upload: bool | None,  # noqa: FBT001 - a setting, passed on
        progress: OnProgress | None,
    ) -> Place:
        if not local_files.is_local(dataset, upload):
            return dataset
        return (await self.upload_dataset(dataset, progress=progress)).name

    def _watch(self, name: str, attempt: Attempt, *, resume: bool = False) -> Any:
        request = pb.WatchEvaluationRequest(evaluation=name, resume=resume)
        return self._evaluations.WatchEvaluation(request, **attempt.options())

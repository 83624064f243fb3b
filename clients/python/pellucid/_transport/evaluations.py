"""The calls about evaluations, for synchronous code."""

from collections.abc import Iterator
from typing import Any, Unpack

from pellucid._transport import local_files, uploads
from pellucid._transport.calls import STREAM_TIMEOUT, Attempt
from pellucid._transport.evaluation_stream import EvaluationStream, OptimizationStream
from pellucid._transport.local_files import OnProgress
from pellucid._transport.unary import UnaryCaller
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
from pellucid.v1.model_pb2_grpc import ModelServiceStub


class EvaluationCalls(UnaryCaller):
    """Measures models on data sets, compares and optimises them."""

    _evaluations: EvaluationServiceStub
    _models: ModelServiceStub

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
        """Evaluates a model on a data set.

        A text is a URI below one of the server's roots, or the name of an upload. A
        `pathlib.Path`, or a text with `upload=True`, is a folder or an archive here, and is
        sent first. No `timeout`: however long it takes.

        Raises:
            PellucidError: what the server answered; OSError: files that cannot be read.
        """
        place = self._placed(dataset, upload, on_upload)
        request = evaluations.evaluate_request(place, model, **options)
        attempt = self._attempt(timeout)
        return EvaluationStream(
            lambda: self._evaluations.EvaluateDataset(request, **attempt.options()), attempt, self
        )

    def watch_evaluation(
        self, name: str, *, resume: bool = False, timeout: float | None = None
    ) -> EvaluationStream:
        """Joins a running or finished evaluation: the same events from where it stands.

        With `resume` one that failed or was cancelled goes on from its rows first.
        """
        attempt = self._attempt(timeout)
        return EvaluationStream(lambda: self._watch(name, attempt, resume=resume), attempt, self)

    def cancel_evaluation(self, name: str) -> Evaluation:
        """Stops an evaluation within one batch; its rows so far stay."""
        request = pb.CancelEvaluationRequest(evaluation=name)
        response = self._unary(self._evaluations.CancelEvaluation, request)
        return evaluations.evaluation(response.evaluation)

    def evaluations(self, model: str = "", state: str = "") -> Iterator[Evaluation]:
        """The evaluations, newest first, page by page; of one model, or in one state."""
        request = evaluations.list_request(model, state)
        while True:
            response = self._unary(self._evaluations.ListEvaluations, request)
            yield from map(evaluations.evaluation, response.evaluations)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def evaluation(self, name: str) -> Evaluation:
        """One evaluation, with its report where it has one."""
        request = pb.GetEvaluationRequest(evaluation=name)
        return evaluations.described(self._unary(self._evaluations.GetEvaluation, request))

    def examples(self, evaluation: str, **filters: Unpack[ExampleFilters]) -> Iterator[Example]:
        """The rows of an evaluation, page by page, one for each image.

        `order` is dataset, confidence, rank or score; ascending scores give the worst first.
        """
        request = examples.examples_request(evaluation, **filters)
        while True:
            response = self._unary(self._evaluations.ListExamples, request)
            yield from map(examples.example, response.examples)
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    def render_example(
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
        return examples.rendered(self._unary(self._evaluations.RenderExample, request))

    def delete_evaluation(self, name: str) -> None:
        """Deletes an evaluation that does not run, with its rows."""
        request = pb.DeleteEvaluationRequest(evaluation=name)
        self._unary(self._evaluations.DeleteEvaluation, request)

    def compare_evaluations(
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
        return comparison(self._unary(self._evaluations.CompareEvaluations, request, timeout))

    def upload_dataset(
        self, path: Place, *, progress: OnProgress | None = None, timeout: float | None = None
    ) -> UploadedDataset:
        """Sends a folder, a zip or a tar; what the server has already is not sent again.

        A connection that breaks is taken up again. The same files get the same name.
        `progress` is called from another thread.
        """
        return uploads.upload(self._evaluations, path, progress, lambda: self._attempt(timeout))

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
        place = self._placed(dataset, upload, on_upload)
        request = optimize_request(model, kind, place, **options)
        attempt = self._attempt(timeout)
        return OptimizationStream(
            lambda: self._models.OptimizeModel(request, **attempt.options()), attempt
        )

    def _placed(self, dataset: Place, upload: bool | None, progress: OnProgress | None) -> Place:  # noqa: FBT001 - a setting, passed on
        if not local_files.is_local(dataset, upload):
            return dataset
        return self.upload_dataset(dataset, progress=progress).name

    def _watch(self, name: str, attempt: Attempt, *, resume: bool = False) -> Any:
        request = pb.WatchEvaluationRequest(evaluation=name, resume=resume)
        return self._evaluations.WatchEvaluation(request, **attempt.options())

"""One live bar for work of many stages, on a terminal only."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn

from pellucid.cli.console import err, printable
from pellucid.cli.evaluation_tables import figure
from pellucid.evaluations import EvaluationProgress
from pellucid.models import OptimizationProgress
from pellucid.uploads import UploadProgress

_METRICS = 3


class Bar:
    """A bar whose texts follow what is done now."""

    def __init__(self, *, enabled: bool) -> None:
        console = err()
        self._shown = enabled and console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[detail]}", markup=False),
            console=console,
            transient=True,
            redirect_stdout=False,  # what goes to standard output stays there
            redirect_stderr=False,
            expand=True,
        )
        self._task = self._bars.add_task("", total=None, count="", detail="")

    def upload(self, progress: UploadProgress) -> None:
        """Shows how far an upload is."""
        done, total = progress.done / 1e6, progress.total / 1e6
        count = f"{done:,.1f}/{total:,.1f} MB"
        self._show(progress.stage, progress.done, progress.total, count, f"{progress.files} files")

    def evaluation(self, progress: EvaluationProgress) -> None:
        """Shows how far an evaluation is, with its metrics so far."""
        metrics = ", ".join(map(figure, progress.metrics[:_METRICS]))
        speed = f"{progress.images_per_second:,.1f} images/s, {clock(progress.remaining)} left"
        count = f"{progress.done:,}/{progress.total:,}"
        self._show("evaluating", progress.done, progress.total, count, f"{speed}  {metrics}")

    def optimization(self, progress: OptimizationProgress) -> None:
        """Shows how far an optimisation is."""
        count = f"{progress.done:,}/{progress.total:,}" if progress.total else ""
        detail = f"{clock(progress.elapsed)}, {clock(progress.remaining)} left"
        self._show(progress.stage, progress.done, progress.total, count, detail)

    def say(self, text: str) -> None:
        """Shows what is done now, without knowing how far it is."""
        self._show(text, 0, None, "", "")

    def _show(self, name: str, done: int, total: int | None, count: str, detail: str) -> None:
        self._bars.update(
            self._task,
            description=printable(name),
            completed=done,
            total=total or None,
            count=count,
            detail=printable(detail),
        )

    def __enter__(self) -> Self:
        if self._shown:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._bars.stop()


def clock(seconds: float) -> str:
    """Minutes and seconds, and hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

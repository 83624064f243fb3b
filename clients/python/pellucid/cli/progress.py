"""The live progress of explanations, on a terminal only."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from pellucid import explanations
from pellucid.cli.console import err, printable

_NAME = 30


class Watch:
    """A bar for the image at work, below one for all images where there are several."""

    def __init__(self, images: int, *, enabled: bool) -> None:
        console = err()
        self._shown = enabled and console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            redirect_stdout=False,  # what goes to standard output stays there
            redirect_stderr=False,
            expand=True,
        )
        self._all: TaskID | None = self._bar("all images", images) if images > 1 else None
        self._one: TaskID | None = None

    def begin(self, name: str) -> None:
        """Starts with an image."""
        self._one = self._bar(_shortened(printable(name)), None)

    def advance(self, progress: explanations.Progress) -> None:
        """Shows how far the image at work is."""
        if self._one is not None:
            self._bars.update(
                self._one,
                completed=progress.done,
                total=progress.total,
                rate=f"{progress.units_per_second:,.0f}/s",
                left=f"{_clock(progress.remaining)} left",
            )

    def end(self) -> None:
        """Ends with the image at work."""
        if self._one is not None:
            self._bars.remove_task(self._one)
            self._one = None
        if self._all is not None:
            self._bars.advance(self._all)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Takes the bars off the terminal while something else is printed."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _start(self) -> None:
        if self._shown:
            self._bars.start()

    def _stop(self) -> None:
        if self._shown:
            self._bars.stop()

    def _bar(self, name: str, total: int | None) -> TaskID:
        return self._bars.add_task(name, total=total, rate="", left="")


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME else f"...{name[3 - _NAME :]}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

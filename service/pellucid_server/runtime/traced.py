"""What a unit of work tells the trace of its call; of masks a round is told, not a unit."""

from pellucid_server.runtime.device import Device
from pellucid_server.runtime.units import Unit


def note_queue(unit: Unit, end: float, error: BaseException | None = None) -> None:
    """That it waited until then, on `time.monotonic`'s clock."""
    if unit.call.span is not None and not unit.series:
        unit.call.span.record(
            "queue",
            unit.arrival,
            end,
            error,
            priority=unit.priority.name.lower(),
            tenant=unit.call.tenant,
        )


def note_inference(
    unit: Unit,
    device: Device,
    start: float,
    end: float,
    *,
    precision: str = "",
    images: int | None = None,
    error: BaseException | None = None,
) -> None:
    """That it waited, and then ran."""
    if unit.call.span is None or unit.series:
        return
    note_queue(unit, start)
    unit.call.span.record(
        "inference",
        start,
        end,
        error,
        model=unit.model.name,
        version=unit.model.version,
        device=device.spec.name,
        precision=precision,
        images=images or unit.images,
    )

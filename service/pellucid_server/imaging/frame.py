from dataclasses import dataclass

from pellucid_server.types import Box, Size


@dataclass(frozen=True)
class Frame:
    """How a model's input lies on the image: `region` is what the input shows.

    The region is in pixels of the image: less than the image where the input is a
    crop, more where the image was padded.
    """

    image: Size
    input: Size
    region: Box

    @property
    def scale(self) -> tuple[float, float]:
        """Image pixels per input pixel: horizontally, vertically."""
        return (
            (self.region.x_max - self.region.x_min) / self.input.width,
            (self.region.y_max - self.region.y_min) / self.input.height,
        )

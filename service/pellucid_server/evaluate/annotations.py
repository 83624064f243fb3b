"""What data sets say of their images."""

from collections.abc import Mapping
from dataclasses import dataclass

from pellucid_server.types import Box


@dataclass(frozen=True)
class Labels:
    """Classes of a whole image, by their names in the data set; several: multi-label."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Object:
    """An annotated object, in pixels of the image as it is displayed."""

    label: str
    box: Box
    crowd: bool = False
    """A group that is not told apart: matching it is neither right nor wrong (COCO)."""
    difficult: bool = False
    """Not counted where it is missed (VOC)."""
    area: float | None = None
    """Pixels, where the annotation has them; COCO sorts objects into sizes by it."""
    polygons: tuple[tuple[float, ...], ...] = ()
    """Outlines x1, y1, x2, y2 and so on, where the mask is given so."""
    rle: Mapping[str, object] | None = None
    """COCO's run lengths, `size` and `counts`, where the mask is given so."""


@dataclass(frozen=True)
class Objects:
    """All annotated objects of an image; none: an image without objects."""

    objects: tuple[Object, ...]
    complete: tuple[str, ...] | None = None
    """Classes that were looked for in this image; None: all of the data set."""


@dataclass(frozen=True)
class LabelMap:
    """A picture that names the class of every pixel."""

    path: str
    """The picture's place in the data set."""
    names: tuple[str, ...]
    """Names by the value of a pixel; empty where the data set has none."""
    palette: Mapping[tuple[int, int, int], int] | None = None
    """Value by colour, where the picture shows colours; None: pixels are values."""
    ignored: int | None = 255
    """Pixels of this value are not counted."""


@dataclass(frozen=True)
class Picture:
    """A picture that the model's should equal."""

    path: str


@dataclass(frozen=True)
class Holes:
    """A mask, white where pixels are missing, and the whole picture."""

    mask: str
    picture: str


@dataclass(frozen=True)
class Values:
    """Numbers that the model should give."""

    targets: tuple[float, ...]


Annotation = Labels | Objects | LabelMap | Picture | Holes | Values


@dataclass(frozen=True)
class Sample:
    """One row of a data set: an image, or the features of a table's row."""

    path: str
    """The image's place in the data set; of a table, its place and row: `houses.csv:17`."""
    annotation: Annotation | None = None
    """None: not annotated."""
    location: str = ""
    """File and line of the annotation: `val.txt:12`."""
    features: tuple[float, ...] | None = None
    """Of a table's row; None: `path` is an image."""


@dataclass(frozen=True)
class Flaw:
    """An annotation that cannot be used."""

    path: str
    """The image's place in the data set, where it is known."""
    location: str
    """File and line: `annotations/7.xml:31`."""
    reason: str
    """What is wrong with it."""

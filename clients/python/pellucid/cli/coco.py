"""Detected objects in COCO's formats, for other tools."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pellucid.evaluations import Example, ExampleObject


@dataclass(frozen=True)
class CocoIds:
    """Ids of a file of annotations: of images by the ends of their paths, of classes by name."""

    images: Mapping[str, int]
    categories: Mapping[str, int]

    def image(self, path: str) -> int:
        """The id of an image.

        Raises:
            ValueError: the annotations have none for it.
        """
        parts = PurePosixPath(path).parts
        for start in range(len(parts)):
            found = self.images.get("/".join(parts[start:]))
            if found is not None:
                return found
        raise ValueError(f"--coco-ids: the annotations have no image {path!r}")


def read_ids(path: Path) -> CocoIds:
    """The ids of a COCO file of annotations.

    Raises:
        OSError: it cannot be read; ValueError: it is none.
    """
    try:
        document = json.loads(path.read_bytes())
        return CocoIds(
            {each["file_name"]: each["id"] for each in document["images"]},
            {each["name"]: each["id"] for each in document["categories"]},
        )
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is no COCO file of annotations: {error!r}") from error


def write_coco(path: Path, rows: Iterable[Example], ids: CocoIds | None) -> None:
    """Writes the objects of rows.

    With ids: the list of results that pycocotools loads; classes that the annotations have
    not are left out. Without: a data set of its own, with images and classes.
    """
    document = list(_results(rows, ids)) if ids else _data_set(rows)
    path.write_text(json.dumps(document), "utf-8")


def _results(rows: Iterable[Example], ids: CocoIds) -> Iterator[dict[str, Any]]:
    for row in rows:
        for each in row.objects:
            category = ids.categories.get(each.category.label)
            if category is not None:
                yield _object(each, ids.image(row.path), category)


def _data_set(rows: Iterable[Example]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    names: dict[int, str] = {}
    for row in rows:
        images.append({"id": row.index, "file_name": row.path})
        for each in row.objects:
            names[each.category.class_id] = each.category.name
            found = _object(each, row.index, each.category.class_id)
            annotations.append({"id": len(annotations) + 1, "iscrowd": 0} | found)
    categories = [{"id": class_id, "name": name} for class_id, name in sorted(names.items())]
    return {"images": images, "categories": categories, "annotations": annotations}


def _object(found: ExampleObject, image: int, category: int) -> dict[str, Any]:
    x, y, right, bottom = found.box
    document: dict[str, Any] = {
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, right - x, bottom - y],
        "area": (right - x) * (bottom - y),
        "score": found.category.confidence,
    }
    if found.mask and found.mask_size:
        size = [found.mask_size.height, found.mask_size.width]
        document["segmentation"] = {"size": size, "counts": found.mask}
    return document

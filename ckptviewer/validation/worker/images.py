"""A folder with a folder of images for each class, through Keras' own loader."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from .data import Source
from .libraries import keras
from .model import Arrays, Model
from .problems import DataProblem, first_line


def open_images(spec: dict[str, Any], model: Model) -> Source:
    """Pictures `x` from 0 to 255 as float32, and the number `y` of their class, in the order of
    the folders' names. Raises DataProblem.
    """
    folder = spec["paths"][0]
    size, channels = _size(spec, model)
    color = spec["color"] or {1: "grayscale", 4: "rgba"}.get(channels or 3, "rgb")
    loader = getattr(keras().utils, "image_dataset_from_directory", None) or (
        keras().preprocessing.image_dataset_from_directory
    )
    try:
        dataset = loader(
            folder,
            labels="inferred",
            label_mode="int",
            class_names=spec["class_names"] or None,
            color_mode=color,
            batch_size=spec["batch_size"],
            image_size=size,
            shuffle=False,
        )
    except Exception as error:
        raise DataProblem(
            f"Keras cannot read the folder of images: {first_line(error)}",
            "It needs one folder for each class, with PNG, JPEG, BMP or GIF files.",
        ) from error

    def batches() -> Iterator[Arrays]:
        for x, y in dataset.as_numpy_iterator():
            yield {"x": x, "y": y}

    names = list(getattr(dataset, "class_names", None) or spec["class_names"])
    files = getattr(dataset, "file_paths", None)
    count = len(files) if files is not None else None
    return Source(batches, count, "y", [os.path.basename(name) for name in names])


def _size(spec: dict[str, Any], model: Model) -> tuple[tuple[int, int], int | None]:
    inputs = model.signature.inputs
    shape = inputs[0].shape if len(inputs) == 1 else None
    channels = shape[3] if shape is not None and len(shape) == 4 else None
    if spec["image_size"]:
        return (int(spec["image_size"][0]), int(spec["image_size"][1])), channels
    if shape is not None and len(shape) == 4 and shape[1] and shape[2]:
        return (shape[1], shape[2]), channels
    raise DataProblem(
        "the model does not say how large its pictures are", "Give the height and width."
    )

"""Prediction of boxes in all val and test images by a YOLO detector."""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from defectbench.data.box_file import SCHEMA, BoxPredictions, write_boxes
from defectbench.data.packing import ImagePack
from defectbench.families.yolo.predictor import load_network
from defectbench.files import read_json
from defectbench.inference.network import device_name
from defectbench.inference.predict import WARM_UP, parse_prediction_files


def predict_split_boxes(description: str, argv: Sequence[str] | None = None) -> None:
    """The command of the prediction script; ``description`` is the text of --help."""
    files = parse_prediction_files(description, argv)
    run = read_json(files.run)
    predictor = load_network(run, files.model, "auto")
    images, split, classes = ImagePack.of_run(files.pack, run), files.read_split(), tuple(run["classes"])
    for _ in range(WARM_UP):
        predictor.predict_boxes(images[split["image_id"].iloc[0]])
    seconds = []
    for role, path in files.outputs.items():
        ids = tuple(sorted(split.loc[split["role"] == role, "image_id"]))
        tables = []
        for image_id in ids:
            image = np.asarray(images[image_id])
            started = time.perf_counter()
            boxes = predictor.predict_boxes(image)
            seconds.append(time.perf_counter() - started)
            names = [classes[index] for index in boxes.classes]
            values = [[image_id] * len(names), names, *boxes.xyxy.T, boxes.scores]
            tables.append(pd.DataFrame(dict(zip(SCHEMA.names, values, strict=True))))
        write_boxes(path, BoxPredictions(role, classes, ids, pd.concat(tables, ignore_index=True)))
    files.finish(run["experiment"]["exp_id"], seconds, device_name(predictor.device))

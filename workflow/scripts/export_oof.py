"""Write the out-of-fold predictions as one array of probabilities, for other programs.

--array: float16 (N, C, H, W), a map per class or one of any defect; --ids: a row per image, in the array's order.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from defectbench.data.tables import csv_text
from defectbench.files import atomic, write_text
from defectbench.inference.prediction_file import PredictionFile
from defectbench.metrics.codes import probabilities_from_codes
from defectbench.script import UserError, run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the maps image by image and write them into the array's file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=Path, required=True, help="oof.pred.parquet")
    parser.add_argument("--array", type=Path, required=True, help="NPY file to write")
    parser.add_argument("--ids", type=Path, required=True, help="CSV to write: the image ids")
    args = parser.parse_args(argv)

    with PredictionFile(args.predictions) as predictions, atomic(args.array) as temporary:
        ids, classes = predictions.image_ids(), predictions.header.classes
        array: np.memmap | None = None
        for index, (image_id, codes) in enumerate(predictions):
            if array is None:
                shape = (len(ids), *codes.shape)
                array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            if codes.shape != array.shape[1:]:
                sizes = " and ".join("{} × {}".format(*one[-2:]) for one in (array.shape, codes.shape))
                raise UserError(
                    f"{image_id}: images of {sizes} pixels do not fit into one array; read {args.predictions}"
                )
            array[index] = probabilities_from_codes(codes)
        assert array is not None  # folds have images
        array.flush()
    write_text(args.ids, csv_text(pd.DataFrame({"image_id": ids})))
    print(f"{args.array}: {len(ids)} images, maps: {', '.join(classes)}")


if __name__ == "__main__":
    main()

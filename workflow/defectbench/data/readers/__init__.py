"""One reader per label format; each ends in the same manifest rows."""

from collections.abc import Callable
from typing import Any

from defectbench.data.readers import mask_folder, severstal_csv
from defectbench.data.readers.base import Labels

# Keys as in defectbench.config.ingest.FORMATS; each reader takes the settings of its format.
READERS: dict[str, Callable[[Any], Labels]] = {
    "severstal_csv": severstal_csv.read,
    "mask_folder": mask_folder.read,
}

"""Draw the contents of train, val and test: images by combination of classes, and areas of defects."""

from functools import partial

from defectbench.data.manifest import read_manifest
from defectbench.data.tables import read_names
from defectbench.reporting.plots.command import draw
from defectbench.reporting.plots.split import MANIFEST_COLUMNS, split_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read manifest and split and draw them."""
    draw(
        argv,
        __doc__,
        split_figure,
        manifest=partial(read_manifest, columns=MANIFEST_COLUMNS),
        split=read_names,
    )


if __name__ == "__main__":
    main()

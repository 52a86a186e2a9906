"""Draw on which share of the defective test images the IoU is at least t."""

from defectbench.reporting.plots.command import draw
from defectbench.reporting.plots.success import success_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw(argv, __doc__, success_figure)


if __name__ == "__main__":
    main()

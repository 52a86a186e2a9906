"""Draw the distribution of IoU over the defective test images."""

from defectbench.reporting.plots.image_scores import image_scores_figure
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, image_scores_figure)


if __name__ == "__main__":
    main()

"""Draw the share of defective test images whose IoU is at least t, for every t."""

from defectbench.reporting.plots.record_command import draw_records
from defectbench.reporting.plots.success import success_figure
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, success_figure)


if __name__ == "__main__":
    main()

"""Draw IoU by size and by class of the defects."""

from defectbench.reporting.plots.by_class import by_class_figure
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read the records and draw them."""
    draw_records(argv, __doc__, by_class_figure)


if __name__ == "__main__":
    main()

"""Draw escape against overkill of the test images at every threshold, with the operating points that val chose."""

from defectbench.data.tables import read_table
from defectbench.reporting.plots.operating_points import operating_points_figure
from defectbench.reporting.plots.record_command import draw_records
from defectbench.script import run_script


@run_script
def main(argv: list[str] | None = None) -> None:
    """Read records and operating points and draw them."""
    draw_records(argv, __doc__, operating_points_figure, points=read_table)


if __name__ == "__main__":
    main()

"""Reports for people: tables, plots, galleries, and the page of a study."""

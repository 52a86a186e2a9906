"""What people read: tables, plots, galleries."""

"""What figures and tables have in common, and the figures and tables."""

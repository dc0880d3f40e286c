"""Which files make which figure or table, which jobs make these files, and what they will cost."""

"""One file a table: its entry in the catalogue, values and caption."""

"""One file a figure: its entry in the catalogue, values, drawing and caption."""

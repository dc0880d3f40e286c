"""Figures of the paper and of ours: their values, drawing and captions."""

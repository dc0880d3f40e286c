"""Tables of the paper and of ours: their values and captions."""

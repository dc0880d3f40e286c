"""What figures and tables have in common: style, words, captions, writing, the paper's numbers."""

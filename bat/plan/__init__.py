"""Which files make which artefact, and what they will cost."""

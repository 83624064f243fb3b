"""The parts of a comparison of two evaluations."""

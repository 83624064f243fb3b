"""Evaluation: data sets, what their annotations say of a model's answers, and where it is kept."""

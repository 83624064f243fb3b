"""Evaluations of models on data sets: planned, run to their end whatever happens, watched."""

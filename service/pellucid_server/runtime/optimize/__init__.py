"""Optimised versions of models: quantised to INT8, or with weights of FP16."""

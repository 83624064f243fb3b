"""Formulas of metrics over numbers and arrays: one file a family, none of which knows tasks."""

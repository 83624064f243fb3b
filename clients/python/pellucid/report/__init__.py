"""Evaluations and comparisons as pages: one HTML file that needs no network.

Needs `pip install 'pellucid[report]'`.
"""

from pellucid.report.comparison_page import comparison_page
from pellucid.report.evaluation_page import evaluation_page
from pellucid.report.extra import require

__all__ = ["comparison_page", "evaluation_page", "require"]

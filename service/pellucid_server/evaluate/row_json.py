"""Rows and reports as JSON, floats to the last bit."""

from pydantic import TypeAdapter

from pellucid_server.evaluate.report import Report, Row

_ROW = TypeAdapter(Row)
_REPORT = TypeAdapter(Report)


def row_to_json(row: Row) -> str:
    """A row as a JSON object; numbers must be finite."""
    return _ROW.dump_json(row).decode()


def row_from_json(text: str | bytes) -> Row:
    """The row again; raises ValueError where the text is none."""
    return _ROW.validate_json(text)


def report_to_json(report: Report) -> str:
    """A report as a JSON object; numbers must be finite."""
    return _REPORT.dump_json(report).decode()


def report_from_json(text: str | bytes) -> Report:
    """The report again; raises ValueError where the text is none."""
    return _REPORT.validate_json(text)

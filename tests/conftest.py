"""Imported before any test: the server's package keeps OpenVINO from reporting home."""

import pellucid_server  # noqa: F401 - before OpenVINO, which some tests import themselves

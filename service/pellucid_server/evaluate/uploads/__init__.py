"""Data sets that clients sent: files by the digest of their content, sets by that of their list."""

from pellucid_server.evaluate.uploads.store import Uploaded, Uploads

__all__ = ["Uploaded", "Uploads"]

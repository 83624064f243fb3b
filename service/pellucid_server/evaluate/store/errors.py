"""What can go wrong with the store.

PellucidError
├── LeaseLost             another owner has the evaluation, or it has ended: stop, write no more
├── WrongState            the evaluation does not stand as the call needs it
└── StoreUnavailable      the database did not answer, for longer than the store's patience
    ├── StoreFull         it has no room
    └── StoreTooNew       it was written by a newer version
"""

from pellucid_server.errors import PellucidError


class LeaseLost(PellucidError):
    """A write came with a token that is not the current one; nothing was written."""


class WrongState(PellucidError):
    """The evaluation does not stand as the call needs it."""


class StoreUnavailable(PellucidError):
    """The database cannot be used now; what was committed is safe."""


class StoreFull(StoreUnavailable):
    """The database has no room; nothing was half written."""


class StoreTooNew(StoreUnavailable):
    """The database was written by a newer version of the program."""

from collections.abc import Callable

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD, Files
from pellucid_server.evaluate.sources.compressed import unpacked, unpacker_of
from pellucid_server.evaluate.sources.limits import Limits
from pellucid_server.evaluate.sources.stored import Stored
from pellucid_server.evaluate.sources.tar_file import TarFiles, is_tar
from pellucid_server.evaluate.sources.zip_file import ZipFiles, is_zip


def archive_files(stored: Stored, limits: Limits, check: Callable[[], None]) -> Files | None:
    """The files of an archive, known by its first bytes; None: the file is no archive.

    `check` is called now and then, and may raise to give up.

    Raises:
        InvalidInput: it is damaged, over a limit, or of a kind that is not read.
        Overloaded: there is no room for its temporary copy.
    """
    if is_zip(stored):
        return ZipFiles(stored, limits, check)
    if make := unpacker_of(stored.at(0, 8)):
        stored = unpacked(stored, make, limits, check)
        if not is_tar(stored):
            raise InvalidInput(f"{stored.name} is compressed, but no tar archive", field=FIELD)
    return TarFiles(stored, limits, check) if is_tar(stored) else None

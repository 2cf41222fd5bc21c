"""Where the archive is on a device and how to get at it; the one archive reader."""

from droidheaders.headers.limits import ArchiveError as ArchiveError
from droidheaders.headers.limits import Limits as Limits

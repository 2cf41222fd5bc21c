"""Which Debian mirror to use: the one asked for, else the one the host's own apt uses."""

from __future__ import annotations

import os
import re
import subprocess
from urllib.parse import urlsplit

from droidheaders.errors import DroidheadersError, UsageError

_FORMAT = "$(REPO_URI)|$(ORIGIN)|$(LABEL)"


def mirror(asked: str | None = None) -> str:
    """Return the base URL of a Debian archive, without a slash at its end.

    That is `asked`, else DROIDHEADERS_MIRROR, else what the host's apt has. Raises
    DroidheadersError on a host whose apt has no Debian mirror, and UsageError for what is no URL.
    """
    url = asked or os.environ.get("DROIDHEADERS_MIRROR")
    if url:
        # no space or bracket, which would end the URL in a sources.list and begin options
        if not re.fullmatch(r"(https?|file)://[^\s\[\]#]+", url):
            raise UsageError(f"A mirror is a URL such as http://HOST/debian, and not {url!r}.")
        return url.rstrip("/")
    found = from_targets(_targets()) or from_targets(_targets("--no-release-info"))
    if not found:
        raise DroidheadersError(
            "This host's apt has no Debian mirror to take guest packages from.",
            hint="droidheaders emulator setup --mirror URL",
        )
    return found


def from_targets(listing: str) -> str | None:
    """Return the first Debian archive in what `apt-get indextargets` printed.

    The Release file names the origin; where apt has not fetched one yet, the archive is known by
    its usual path (Debian security has another label and another path, and lacks what we need).
    """
    for line in listing.splitlines():
        uri, _, release = line.partition("|")
        url = uri.rstrip("/")
        if release == "Debian|Debian":
            return url
        if "$(" in release and urlsplit(url).path.endswith("/debian"):
            return url
    return None


def _targets(*options: str) -> str:
    done = subprocess.run(
        ["apt-get", "indextargets", *options, "--format", _FORMAT, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout

"""Which Debian mirror to use: the one asked for, the host's own, else the one debootstrap knows."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from droidheaders.errors import DroidheadersError, UsageError

_DEBOOTSTRAP = Path("/usr/sbin/debootstrap")
_FORMAT = "$(REPO_URI)|$(ORIGIN)|$(LABEL)"


def mirror(asked: str | None = None) -> str:
    """Return the base URL of a Debian archive, without a slash at its end.

    That is `asked`, else DROIDHEADERS_MIRROR, else what the host's apt has, else (on Ubuntu, say)
    the default of an installed debootstrap. Raises DroidheadersError where there is none of them,
    and UsageError for what is no URL.
    """
    url = asked or os.environ.get("DROIDHEADERS_MIRROR")
    if url:
        # no space or bracket, which would end the URL in a sources.list and begin options
        if not re.fullmatch(r"(https?|file)://[^\s\[\]#]+", url):
            raise UsageError(f"a mirror is a URL such as http://HOST/debian, and not {url!r}")
        return url.rstrip("/")
    found = (
        from_targets(_targets())
        or from_targets(_targets("--no-release-info"))
        or from_debootstrap(_read(_DEBOOTSTRAP))
    )
    if not found:
        raise DroidheadersError(
            "this host's apt has no Debian mirror to take packages from",
            "sudo apt-get install debootstrap, or set DROIDHEADERS_MIRROR to a URL",
        )
    return found


def from_debootstrap(script: str) -> str | None:
    """Return the default mirror that the debootstrap program itself names."""
    match = re.search(r'^DEF_MIRROR="(https?://[^\s"$]+/debian)/?"$', script, re.MULTILINE)
    return match[1] if match else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


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

"""Whether a kernel takes a module, before it is pushed: each thing that insmod would fail at."""

from droidheaders.preflight.module_file.report import judge

__all__ = ["judge"]

"""Whether a BPF object would be loaded by a kernel, before it is pushed there."""

from droidheaders.preflight.object_file.report import judge

__all__ = ["judge"]

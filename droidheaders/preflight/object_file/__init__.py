"""Whether a BPF object would be loaded by a kernel, before it is pushed there."""

from droidheaders.preflight.object_file.report import asks_for_types, judge

__all__ = ["asks_for_types", "judge"]

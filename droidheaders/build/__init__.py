"""Builds for a kernel, from its bundle: flags, types, programs."""

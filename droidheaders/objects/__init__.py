"""ELF files that were made for a kernel: what they say of themselves."""

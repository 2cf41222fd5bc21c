"""What is built on this host from a bundle: flags, BPF programs. Knows bundles, and no devices."""

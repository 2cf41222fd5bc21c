"""Which licences the kernel takes for the GPL, of modules and of BPF programs alike."""

from __future__ import annotations

GPL_COMPATIBLE = frozenset(
    {
        "GPL",
        "GPL v2",
        "GPL and additional rights",
        "Dual BSD/GPL",
        "Dual MIT/GPL",
        "Dual MPL/GPL",
    }
)
"""What license_is_gpl_compatible() takes: include/linux/license.h."""

"""What toybox's insmod says when the kernel refuses a module."""

from __future__ import annotations

EXEC_FORMAT = "insmod would say: Exec format error"
DENIED = "insmod would say: Permission denied"
KEY = "insmod would say: Required key not available, or: Key was rejected by service"

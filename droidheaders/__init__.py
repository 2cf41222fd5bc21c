"""linux-headers-$(uname -r) for whatever Android kernel is running behind adb."""

__version__ = "0.1.0"

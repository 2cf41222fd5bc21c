"""The embedded device: images built from Debian packages, booted in QEMU, reached by adb."""

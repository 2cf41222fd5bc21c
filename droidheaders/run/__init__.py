"""What is done on a device, and how the device is left as it was found."""

"""Packages of Debian, fetched and unpacked without root: parts of guests, libraries of devices."""

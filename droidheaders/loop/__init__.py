"""Targets times personas times tests: what is to be run, and what came of it."""

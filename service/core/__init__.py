"""Arithmetic and rules: no clock, disk, network, log or settings."""

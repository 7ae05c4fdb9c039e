"""The version: read by the build, the telemetry and ``--version``."""

__version__ = "0.1.0"

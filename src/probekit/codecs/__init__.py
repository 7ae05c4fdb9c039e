"""Bytes and text to model values and back. Pure: no I/O, no clock. Malformed input is a ``DecodeError`` that keeps it."""

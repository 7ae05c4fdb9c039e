"""Typed clients over transports."""

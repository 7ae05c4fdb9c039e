"""Codecs of Pyth Pro (Lazer)."""

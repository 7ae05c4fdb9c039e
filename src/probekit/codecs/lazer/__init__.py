"""Pyth Pro (Lazer): payloads, signed envelopes, JSON answers, messages, frames, symbols, and the on-chain verifiers."""

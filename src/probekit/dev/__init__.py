"""The local development environment: a sandbox Hermes with genuine signatures, and faults to inject into it."""

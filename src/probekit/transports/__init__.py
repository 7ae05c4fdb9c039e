"""The wire: one-method transports, two engines, stackable middleware."""

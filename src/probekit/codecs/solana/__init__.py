"""Solana: the accounts of Pyth's receiver and Wormhole programs, SPL tokens, program addresses, and JSON-RPC answers."""

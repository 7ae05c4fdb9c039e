"""Governance messages of Pyth (``PTGM``) and Wormhole, both ways; the VAA round them; in words."""

"""JSON of the Kubernetes API: pages of a list, and what each object says of itself."""

from probekit.codecs.kubernetes.listing import Page, Place, decode_page, place_of

__all__ = ["Page", "Place", "decode_page", "place_of"]

"""``make dist``: the wheel, one executable per dependency profile, a launcher per probe, and a manifest of their digests."""

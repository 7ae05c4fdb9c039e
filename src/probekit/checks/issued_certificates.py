"""Are the cluster's certificates issued, renewed in time, and far from their end?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from probekit.checks.parts import of_listing, require
from probekit.model import Observation, Status, Verdict
from probekit.model.kubernetes import Certificate, Listing
from probekit.units import Instant, format_ns, to_ns


@dataclass(frozen=True, slots=True)
class IssuedCertificates:
    """Rule over a listing of cert-manager's Certificates, or of TLS Secrets.

    CRITICAL ``certificate_expired``; ``certificate_expiring``, CRITICAL within ``critical_before`` of its end and WARNING
    within ``warn_before``, but not while a renewal is still to come; ``certificate_not_ready``, with cert-manager's words,
    WARNING at once and CRITICAL beyond ``grace``; WARNING ``renewal_due`` for a renewal that should have been ``grace`` ago.

    Raises ``ValueError`` unless ``0 <= critical_before <= warn_before`` and ``grace >= 0``.
    """

    critical_before: timedelta = timedelta(days=7)
    warn_before: timedelta = timedelta(days=21)
    grace: timedelta = timedelta(minutes=30)
    name: ClassVar[str] = "issued_certificates"

    def __post_init__(self) -> None:
        require(
            (
                timedelta(0) <= self.critical_before <= self.warn_before,
                f"critical_before must not be negative nor above warn_before, {self.critical_before} and {self.warn_before}",
            ),
            (self.grace >= timedelta(0), f"grace must not be negative, but is {self.grace}"),
        )

    def __call__(self, observation: Observation[Listing], *, now: Instant) -> Verdict:
        listing = observation.value
        judged = [part for one in listing.objects if (part := self._part(one, now)) is not None]
        return of_listing(
            Verdict(self.name, Status.OK, "certificates_valid", "every certificate is issued and far from its end"),
            Verdict(self.name, Status.SKIPPED, "nothing_listed", "there is no certificate to judge"),
            judged,
            listing,
        )

    def _part(self, one: Certificate, now: Instant) -> Verdict | None:
        grace_ns = to_ns(self.grace)
        if one.expires_at is not None:
            left_ns = one.expires_at.since(now)
            critical_ns, warn_ns = to_ns(self.critical_before), to_ns(self.warn_before)
            whose = f" (that of {one.authority} above it)" if one.authority else ""
            renews = one.renew_at is not None and one.renew_at > now
            if left_ns <= 0:
                words = f"{one.name} expired {format_ns(-left_ns)} ago, at {one.expires_at}{whose}"
                return Verdict(self.name, Status.CRITICAL, "certificate_expired", words, left_ns, critical_ns, "ns", one.name)
            if left_ns <= warn_ns and not renews:
                near = left_ns <= critical_ns
                status = Status.CRITICAL if near else Status.WARNING
                limit_ns = critical_ns if near else warn_ns
                words = f"{one.name} expires in {format_ns(left_ns)}, at {one.expires_at}{whose}"
                return Verdict(self.name, status, "certificate_expiring", words, left_ns, limit_ns, "ns", one.name)
        if one.ready is False:
            lasted_ns = now.since(one.changed_at or one.created_at)
            late = Status.CRITICAL if lasted_ns > grace_ns else Status.WARNING
            words = f"{one.name} is not ready for {format_ns(lasted_ns)}: {one.reason or 'no condition'}: {one.message}"
            return Verdict(self.name, late, "certificate_not_ready", words, lasted_ns, grace_ns, "ns", one.name)
        if one.renew_at is not None and now.since(one.renew_at) > grace_ns:
            over_ns = now.since(one.renew_at)
            words = f"{one.name} was to be renewed {format_ns(over_ns)} ago, at {one.renew_at}"
            return Verdict(self.name, Status.WARNING, "renewal_due", words, over_ns, grace_ns, "ns", one.name)
        return None

"""Signed bytes that do not prove what they claim."""

from __future__ import annotations

from typing import ClassVar

from probekit.errors.base import ErrorType, ProbekitError


class VerificationError(ProbekitError):
    """Signed bytes that do not prove what they claim."""

    error_type: ErrorType = "verification"
    retry_other: ClassVar[bool] = True


class UnknownSet(VerificationError):
    """No trusted set has this root and index; where single keys sign, the key is not trusted."""

    error_type: ErrorType = "unknown_set"


class SupersededSet(VerificationError):
    """A set that a newer one has replaced: expired at the time asked about, or of unknown expiry. Or a single key, expired."""

    error_type: ErrorType = "superseded_set"


class NoQuorum(VerificationError):
    """Fewer signatures than the root's quorum."""

    error_type: ErrorType = "no_quorum"


class BadSignature(VerificationError):
    """A signature that recovers to no address, or to another than the set's signer at its index, or than any trusted one."""

    error_type: ErrorType = "bad_signature"


class SignatureOrder(VerificationError):
    """Signer indices that do not strictly ascend, or lie outside the set."""

    error_type: ErrorType = "signature_order"


class WrongRoot(VerificationError):
    """The right signatures of another trust root than the one asked for: the mistake of the 2026 migration."""

    error_type: ErrorType = "wrong_root"


class WrongEmitter(VerificationError):
    """An emitter chain or address that no trusted root uses."""

    error_type: ErrorType = "wrong_emitter"


class BadProof(VerificationError):
    """A Merkle path that does not end at the signed root."""

    error_type: ErrorType = "bad_proof"


class ParsedMismatch(VerificationError):
    """The parsed price contradicts its own signed bytes."""

    error_type: ErrorType = "parsed_mismatch"

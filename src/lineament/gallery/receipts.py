"""Signed evidence of a removal (Ed25519, RFC 8032): what was removed, when, and which copies may still hold it.

The gallery keeps no receipt, and of what was removed only random numbers that were given at enrollment: the
receipt alone names the subject. Whoever has the gallery's public key can check it without the gallery.
"""

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from lineament.core.errors import InputError

FORMAT = "lineament-removal-receipt"
VERSION = 1
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Copy:
    """A backup or an export that this gallery made.

    Attributes:
        kind: "backup" or "export".
        path: where it was written.
        made_s: when it was begun, seconds since 1970 UTC.
    """

    kind: str
    path: str
    made_s: float


@dataclass(frozen=True, slots=True)
class RemovalReceipt:
    """What a gallery says it removed.

    Attributes:
        gallery_id: 32 hex digits, the same for a gallery and its backups.
        subject_id: whose samples they were.
        sample_ids: the removed samples.
        uids: random hex numbers of these samples, by which backups are searched.
        removed_s: when, seconds since 1970 UTC.
        purged: True when the bytes were overwritten at once.
        copies: known copies that were made while the samples were there; they are not changed by the removal.
        public_key: 64 hex digits of the gallery's Ed25519 key.
        signature: 128 hex digits over everything above.
    """

    gallery_id: str
    subject_id: str
    sample_ids: tuple[str, ...]
    uids: tuple[str, ...]
    removed_s: float
    purged: bool
    copies: tuple[Copy, ...]
    public_key: str = ""
    signature: str = field(default="", repr=False)

    def to_json(self) -> str:
        """The receipt as one JSON document."""
        return json.dumps(self._document() | {"signature": self.signature}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote; says nothing about its signature.

        Raises:
            InputError: it is no receipt.
        """
        try:
            document = json.loads(text)
            kind = (document.pop("format"), document.pop("version"))
            copies = tuple(Copy(c["kind"], c["path"], c["made_s"]) for c in document["copies"])
            names = {name: tuple(map(str, document[name])) for name in ("sample_ids", "uids")}
            receipt = cls(**(document | names | {"copies": copies}))
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"this is no removal receipt ({error}); give the file as it was written"
            ) from error
        if kind != (FORMAT, VERSION):
            raise InputError(f"expected a receipt of {FORMAT} {VERSION}, got {kind}; use a newer lineament")
        return receipt

    def signed(self, seed: bytes) -> Self:
        """The same receipt with the signature of the key that ``seed`` (32 bytes) makes."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        unsigned = replace(self, public_key=public_key(seed), signature="")
        signature = Ed25519PrivateKey.from_private_bytes(seed).sign(unsigned._signed_bytes())
        return replace(unsigned, signature=signature.hex())

    def is_signed_by(self, key: str) -> bool:
        """True when the signature was made by the gallery of the public key ``key`` (64 hex digits)."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if key != self.public_key:
            return False
        try:
            verifier = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
            verifier.verify(bytes.fromhex(self.signature), self._signed_bytes())
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True

    def _document(self) -> dict[str, Any]:
        document = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "signature"}
        copies = [{"kind": c.kind, "path": c.path, "made_s": c.made_s} for c in self.copies]
        return {"format": FORMAT, "version": VERSION} | document | {"copies": copies}

    def _signed_bytes(self) -> bytes:
        return json.dumps(self._document(), sort_keys=True, separators=(",", ":")).encode()


def public_key(seed: bytes) -> str:
    """64 hex digits of the Ed25519 public key that ``seed`` (32 bytes) makes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if len(seed) != _SEED_BYTES:
        raise ValueError(f"a signing key has {_SEED_BYTES} bytes, got {len(seed)}")
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()

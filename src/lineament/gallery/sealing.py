"""How bytes and names are stored: as they are, or sealed so that the file alone tells nothing.

A sealed gallery has a random data key, wrapped by the caller's key (AES-256-GCM, NIST SP 800-38D). HKDF-SHA256
(RFC 5869) makes three keys from it: templates and pictures are sealed with AES-256-GCM under a random nonce and
bound to their sample and embedding space, so that they cannot be exchanged; names are sealed with AES-SIV
(RFC 5297), which gives equal names equal bytes, so that SQLite finds them; digests are HMAC-SHA256.
"""

import base64
import hashlib
import hmac
import secrets

from lineament.core.errors import GalleryCorrupt, GalleryError
from lineament.gallery.keys import KEY_BYTES, GalleryKey

_NONCE_BYTES = 12
_SIV_BYTES = 64
_WRAP_LABEL = b"lineament gallery data key"


class Codec:
    """Between values and what is stored of them: here everything as it is, in a subclass sealed."""

    def seal_name(self, text: str, kind: str) -> str:  # noqa: ARG002
        """The stored form of a name; equal names of one kind have equal forms, and an empty one stays empty."""
        return text

    def open_name(self, stored: str, kind: str) -> str:  # noqa: ARG002
        """The name of a stored form.

        Raises:
            GalleryCorrupt: it was altered.
        """
        return stored

    def seal(self, data: bytes, label: bytes) -> bytes:  # noqa: ARG002
        """The stored form of ``data``; a sealed one opens under the same label only."""
        return data

    def open(self, stored: bytes, label: bytes) -> bytes:  # noqa: ARG002
        """The data of a stored form.

        Raises:
            GalleryCorrupt: it was altered or belongs elsewhere.
        """
        return stored

    def digest(self, data: bytes) -> bytes:
        """32 bytes that are equal for equal data; a sealed one tells nothing to whoever has the data."""
        return hashlib.sha256(data).digest()


class SealedCodec(Codec):
    """Everything sealed with keys that are made from one data key.

    Args:
        data_key: 32 random bytes.
    """

    def __init__(self, data_key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

        self._data_key = data_key
        self._blobs = AESGCM(_derived(data_key, b"blobs", KEY_BYTES))
        self._names = AESSIV(_derived(data_key, b"names", _SIV_BYTES))
        self._digests = _derived(data_key, b"digests", KEY_BYTES)

    def seal_name(self, text: str, kind: str) -> str:
        """Sealed with AES-SIV."""
        if not text:
            return ""
        return base64.urlsafe_b64encode(self._names.encrypt(text.encode(), [kind.encode()])).decode()

    def open_name(self, stored: str, kind: str) -> str:
        """The name that AES-SIV sealed."""
        from cryptography.exceptions import InvalidTag

        if not stored:
            return ""
        try:
            return self._names.decrypt(base64.urlsafe_b64decode(stored), [kind.encode()]).decode()
        except (InvalidTag, ValueError) as error:
            raise _altered(f"a {kind} id") from error

    def seal(self, data: bytes, label: bytes) -> bytes:
        """A random nonce, then what AES-GCM makes of the data and its label."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._blobs.encrypt(nonce, data, label)

    def open(self, stored: bytes, label: bytes) -> bytes:
        """The data, when nonce, data and label are those of :meth:`seal`."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._blobs.decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], label)
        except (InvalidTag, ValueError) as error:
            raise _altered("a template or picture") from error

    def digest(self, data: bytes) -> bytes:
        """HMAC-SHA256 of the plain digest."""
        return self.keyed(hashlib.sha256(data).digest())

    def keyed(self, digest: bytes) -> bytes:
        """The sealed form of a plain digest."""
        return hmac.digest(self._digests, digest, "sha256")

    def has_key_of(self, other: "SealedCodec") -> bool:
        """True when both seal with one data key."""
        return hmac.compare_digest(self._data_key, other._data_key)

    def wrapped(self, key: GalleryKey) -> bytes:
        """The data key, sealed with the caller's key."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(key.secret).encrypt(nonce, self._data_key, _WRAP_LABEL)


def new_codec() -> SealedCodec:
    """A codec with a new data key."""
    return SealedCodec(secrets.token_bytes(KEY_BYTES))


def unwrap(wrapped: bytes, key: GalleryKey) -> SealedCodec:
    """The codec of a gallery from its wrapped data key.

    Raises:
        GalleryError: it was wrapped with another key, or was altered.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        data_key = AESGCM(key.secret).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _WRAP_LABEL)
    except (InvalidTag, ValueError) as error:
        raise GalleryError(
            "the key does not open this gallery; give the key that it was sealed with"
        ) from error
    return SealedCodec(data_key)


def _derived(data_key: bytes, purpose: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt=None, info=b"lineament gallery " + purpose).derive(data_key)


def _altered(what: str) -> GalleryCorrupt:
    return GalleryCorrupt(
        f"{what} does not open with the gallery's key: it was altered or belongs elsewhere; run the gallery's "
        "check, and restore a backup"
    )

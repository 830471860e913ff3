"""The service as a library: compare, and reach galleries."""

import base64
from typing import Self

import numpy as np

from lineament.client.connection import Connection
from lineament.client.galleries import RemoteGallery
from lineament.client.results import (
    Demeshed,
    Detected,
    EmbeddedFace,
    MadeWith,
    RestoredReference,
    SeenFace,
    Verified,
    detections_of,
    point_of,
    refusal_of,
)
from lineament.core.types import Decision, Embedding, Refusal


class Client:
    """Calls a service. A client belongs to one thread; make one for each. A ``with`` block closes it.

    Pictures are encoded files (JPEG, PNG, ...) as bytes. All calls raise
    :class:`~lineament.core.errors.ServiceError` when the service cannot be reached or fails,
    :class:`~lineament.core.errors.AccessDenied` when the key may not do it, and
    :class:`~lineament.core.errors.EngineBusy` when it stays busy for longer than the patience; calls with pictures
    raise :class:`~lineament.core.errors.DecodeError` and :class:`~lineament.core.errors.ImageTooLarge`, and those
    with a rate :class:`~lineament.core.errors.NotCalibrated`.
    """

    def __init__(
        self, address: str, *, key: str = "", timeout_s: float = 60.0, patience_s: float = 30.0
    ) -> None:
        """Nothing is sent yet.

        Args:
            address: "http://host:port".
            key: API key; empty for a service without.
            timeout_s: longest wait for a connection, and for each piece of an answer.
            patience_s: how long to try again when the service is busy or not ready.

        Raises:
            ValueError: not such an address, or a key that can be none.
        """
        self._connection = Connection(address, key, timeout_s, patience_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def is_ready(self) -> bool:
        """Whether the service takes work now; it is asked once."""
        return self._connection.answers("/readyz")

    def verify(self, reference: bytes, probe: bytes, fmr: float) -> Verified | Refusal:
        """Are these the same person?

        Args:
            reference: picture of the claimed subject.
            probe: the new picture.
            fmr: acceptable false match rate, a fraction.
        """
        files = {"reference": ("reference", reference), "probe": ("probe", probe)}
        d = self._connection.call("POST", "/v1/verify", files=files, data={"fmr": repr(fmr)})
        if d["refusal"] is not None:
            return refusal_of(d["refusal"])
        made_with = MadeWith.of(d)
        return Verified(
            decision=Decision(d["decision"]),
            similarity=d["similarity"],
            point=point_of(
                d["point"], d["restored"]["calibration_space"] if d["restored"] else made_with.space
            ),
            llr=d["llr"],
            reference=SeenFace.of(d["reference"]),
            probe=SeenFace.of(d["probe"]),
            restored=None if d["restored"] is None else RestoredReference(**d["restored"]),
            made_with=made_with,
        )

    def detect(self, picture: bytes) -> Detected:
        """Which faces are in a picture?

        Args:
            picture: to look at.
        """
        d = self._connection.call("POST", "/v1/detect", files={"picture": ("picture", picture)})
        return Detected(
            detections=detections_of(d["faces"]),
            detected=d["detected"],
            size_px=(d["height"], d["width"]),
            rotation_deg=d["rotation_deg"],
            notes=tuple(d["notes"]),
            made_with=MadeWith.of(d),
        )

    def demesh(self, picture: bytes) -> Demeshed:
        """Is there a security mesh over a picture, and what is under it?

        Args:
            picture: an ID photo.

        Raises:
            InputError: the profile of the service takes no meshes off.
        """
        d = self._connection.call("POST", "/v1/demesh", files={"picture": ("picture", picture)})
        return Demeshed(
            is_meshed=d["is_meshed"],
            score=d["score"],
            threshold=d["threshold"],
            clean_touched_rate=d["clean_touched_rate"],
            record=d["record"],
            remover=d["remover"],
            restored_png=None if d["restored"] is None else base64.b64decode(d["restored"]),
        )

    def embed(self, picture: bytes) -> EmbeddedFace | Refusal:
        """The template of the face that a picture is about.

        Args:
            picture: of one person.
        """
        found = self._embed(picture, "one")
        return found if isinstance(found, Refusal) else found[0]

    def embed_all(self, picture: bytes) -> list[EmbeddedFace]:
        """Templates of every face that can be compared, best score first.

        Args:
            picture: of any number of people.
        """
        found = self._embed(picture, "all")
        return [] if isinstance(found, Refusal) else found

    def galleries(self) -> list[str]:
        """Names of the galleries that the key may touch, in order."""
        return list(self._connection.pages("/v1/galleries", "galleries"))

    def create_gallery(self, name: str) -> RemoteGallery:
        """Make an empty gallery.

        Args:
            name: 1 to 40 of a-z, 0-9 and _, a letter first.

        Raises:
            GalleryError: there is one of that name.
            ValueError: not such a name.
        """
        self._connection.call("POST", "/v1/galleries", json={"name": name})
        return self.gallery(name)

    def gallery(self, name: str) -> RemoteGallery:
        """A gallery by its name; whether it is there shows with its first call."""
        return RemoteGallery(self._connection, name)

    def delete_gallery(self, name: str) -> None:
        """Delete a gallery with all its people and jobs, for good.

        Raises:
            GalleryNotFound: there is none of that name.
        """
        self._connection.call("DELETE", self.gallery(name).path)

    def _embed(self, picture: bytes, faces: str) -> list[EmbeddedFace] | Refusal:
        files = {"picture": ("picture", picture)}
        d = self._connection.call("POST", "/v1/embed", files=files, data={"faces": faces})
        if d["refusal"] is not None:
            return refusal_of(d["refusal"])
        made_with = MadeWith.of(d)
        return [
            EmbeddedFace(
                SeenFace.of(f), Embedding(np.array(f["vector"], np.float32), made_with.space), made_with
            )
            for f in d["faces"]
        ]

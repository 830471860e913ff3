"""The error tree. A message says what was expected, what came, and what to do next.

::

    LineamentError
    ├ InputError      a file or array that cannot be used
    │ ├ DecodeError       bytes that are not a readable picture
    │ ├ ImageTooLarge     more pixels or bytes than the limit, judged on the header
    │ └ BadArray          wrong shape, dtype or range (also a ValueError)
    ├ ModelError      weights or runtimes
    │ ├ ModelNotFound     no manifest of that name
    │ ├ WeightsMissing    no source could give the file
    │ ├ WeightsCorrupt    a digest or a golden vector does not agree
    │ ├ ManifestError     a manifest with faults, all of them listed
    │ ├ LicenceNotAccepted  non-commercial weights without acceptance
    │ ├ RuntimeUnavailable  an asked-for backend, provider or precision is not there
    │ └ NotCalibrated     no record for the embedding space, or a rate that it cannot support
    ├ GalleryError    the embedded store
    │ ├ EmbeddingSpaceMismatch  templates of another space
    │ ├ SubjectNotFound   no such subject
    │ ├ GalleryNotFound   no gallery at that path
    │ └ GalleryCorrupt    a file that is not a sound gallery
    ├ ConfigError     settings with faults, all of them listed
    ├ ServiceError    work that was asked of a shared engine
    │ ├ EngineBusy        its queue is full; try again later
    │ └ AccessDenied      no key, a wrong key, or one that may not do this
    ├ DataError       a data set or pack that cannot be read
    └ TrainingError   a training run that cannot go on

Expected outcomes (no face, two faces, low quality) are not errors: they are returned as
:class:`lineament.core.types.Refusal`. Programming mistakes raise ``TypeError`` or ``ValueError``.
"""


class LineamentError(Exception):
    """Base of everything that this package raises on purpose."""


class InputError(LineamentError):
    """A file or an array that cannot be used."""


class DecodeError(InputError):
    """Bytes that are not a readable picture."""


class ImageTooLarge(InputError):
    """More pixels or bytes than the limit allows; found on the header, before decoding."""


class BadArray(InputError, ValueError):
    """An array of the wrong shape, dtype or range."""


class ModelError(LineamentError):
    """Something is wrong with weights, manifests or runtimes."""


class ModelNotFound(ModelError):
    """No manifest has that name."""


class WeightsMissing(ModelError):
    """No source could give the weight file."""


class WeightsCorrupt(ModelError):
    """A digest or a golden vector does not agree."""


class ManifestError(ModelError):
    """A manifest has faults; the message lists all of them."""


class LicenceNotAccepted(ModelError):
    """Non-commercial weights were asked for and their licence was not accepted."""


class RuntimeUnavailable(ModelError):
    """The asked-for backend, provider or precision is not available here."""


class NotCalibrated(ModelError):
    """No calibration record for the embedding space, or a rate that its counts cannot support."""


class GalleryError(LineamentError):
    """The embedded store cannot do what was asked."""


class EmbeddingSpaceMismatch(GalleryError):
    """Templates of different embedding spaces cannot be compared."""


class SubjectNotFound(GalleryError):
    """The gallery holds no such subject."""


class GalleryNotFound(GalleryError):
    """There is no gallery at that path."""


class GalleryCorrupt(GalleryError):
    """The file is not a sound gallery."""


class ConfigError(LineamentError):
    """Settings have faults; the message lists all of them."""


class ServiceError(LineamentError):
    """A shared engine cannot do what was asked now."""


class EngineBusy(ServiceError):
    """The queue of the engine is full; the same request may succeed later."""


class AccessDenied(ServiceError):
    """No key, a key that is not valid, or one that may not do this."""


class DataError(LineamentError):
    """A data set or pack cannot be read; the message names the record."""


class TrainingError(LineamentError):
    """A training run cannot go on; the message gives the step and the last good checkpoint."""

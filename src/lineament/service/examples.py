"""Answers as the OpenAPI document shows them."""

from pydantic.config import JsonDict

_POINT: JsonDict = {
    "fmr": 0.001,
    "threshold": 0.4193,
    "interval95": [0.4141, 0.4252],
    "n_nonmated": 1197943,
    "record": "open-lfw_view1_208",
}
_COMMON: JsonDict = {
    "profile": "open",
    "space": "dlib-resnet-f32-flip@8c3bce357a33",
    "weights": [{"name": "centerface", "task": "detection", "sha256": {"model": "09189dea"}}],
    "point": _POINT,
}
_FACE: JsonDict = {
    "box": [120.5, 88.25, 310.75, 342.0],
    "score": 0.97,
    "points": {"eye_image_left": [170.1, 180.3], "eye_image_right": [256.4, 179.8], "nose": None},
    "rotation_deg": 0,
    "notes": ["EXIF orientation 6 applied"],
}
MATCH: JsonDict = _COMMON | {
    "decision": "match",
    "similarity": 0.6182,
    "llr": 9.21,
    "log10_lr": 4.0,
    "reference": _FACE,
    "probe": _FACE | {"notes": ["1 smaller face ignored"]},
    "restored": None,
    "refusal": None,
}
REFUSED: JsonDict = _COMMON | {
    "decision": "refused",
    **dict.fromkeys(("similarity", "llr", "log10_lr", "reference", "probe", "restored")),
    "refusal": {
        "role": "probe",
        "reason": "no_face",
        "detail": "no face was found; use a picture that shows one face from the front",
        "boxes": [],
        "rotation_deg": 0,
    },
}

"""From what the library raises to what a client reads.

Every answer that is not a success has the body ``{"error": {"code", "message", "details"}, "request_id"}``. Messages
never repeat the values that a client sent.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lineament.core import errors
from lineament.service.access import KeyRequired, RateLimited
from lineament.service.schemas import ErrorBody, ErrorDetail
from lineament.zoo.records import user_calibration_folder

log = logging.getLogger(__name__)
RETRY_AFTER_S = 1
"""When a client should try again after the engine was busy: a queue of pictures is short."""


class BodyTooLarge(errors.ServiceError):
    """More bytes than a body may have."""


class TooSlow(errors.ServiceError):
    """A client took too long to send its request."""


class MalformedBody(errors.ServiceError):
    """A body that is not what its content type says."""


class UnknownBodyType(errors.ServiceError):
    """A content type that is not read here."""


class NotReady(errors.ServiceError):
    """Networks are still being loaded, or cannot be."""


class TookTooLong(errors.ServiceError):
    """The engine had no answer in time."""


class NotFound(errors.ServiceError):
    """There is nothing of that name."""


class GalleryUnavailable(errors.ServiceError):
    """The store of a gallery cannot be read or written."""


class EnrollmentConflict(errors.GalleryError):
    """Something stands in the way of an enrollment.

    Attributes:
        code: stable name of the kind of conflict.
        in_the_way: subject, sample and similarity.
    """

    def __init__(self, code: str, message: str, in_the_way: dict[str, Any]) -> None:
        super().__init__(message)
        self.code = code
        self.in_the_way = in_the_way


class ClientGone(errors.ServiceError):
    """Nobody waits for the answer any more."""


_KINDS: tuple[tuple[type[errors.LineamentError], int, str], ...] = (
    (BodyTooLarge, 413, "body_too_large"),
    (TooSlow, 408, "too_slow"),
    (MalformedBody, 400, "malformed_body"),
    (UnknownBodyType, 415, "unsupported_body_type"),
    (NotReady, 503, "not_ready"),
    (NotFound, 404, "not_found"),
    (GalleryUnavailable, 503, "gallery_unavailable"),
    (TookTooLong, 503, "took_too_long"),
    (ClientGone, 499, "client_gone"),
    (KeyRequired, 401, "key_required"),
    (errors.AccessDenied, 403, "access_denied"),
    (RateLimited, 429, "rate_limited"),
    (errors.EngineBusy, 429, "busy"),
    (errors.ServiceError, 503, "unavailable"),
    (errors.ImageTooLarge, 413, "image_too_large"),
    (errors.DecodeError, 422, "image_unreadable"),
    (errors.InputError, 422, "input_unusable"),
    (errors.NotCalibrated, 422, "not_calibrated"),
    (errors.ModelNotFound, 404, "model_not_found"),
    (errors.ModelError, 503, "model_unavailable"),
    (errors.SubjectNotFound, 404, "subject_not_found"),
    (errors.GalleryNotFound, 404, "gallery_not_found"),
    (errors.EmbeddingSpaceMismatch, 409, "space_mismatch"),
    (errors.GalleryCorrupt, 500, "gallery_corrupt"),
    (errors.GalleryError, 409, "gallery_conflict"),
    (errors.LineamentError, 500, "internal"),
)
"""Kinds of errors with their status and code; the first one that fits counts."""
_ASKED_FOR = (errors.ModelNotFound, errors.NotCalibrated)
"""Errors of models that are about what a client asked for."""
_RETRIED = {"not_ready": 5, "took_too_long": RETRY_AFTER_S, "busy": RETRY_AFTER_S}


def handle_errors(app: FastAPI) -> None:
    """Answer the library's errors, and the framework's own, with one kind of body."""
    app.add_exception_handler(errors.LineamentError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)


def error_response(request_id: str, error: errors.LineamentError) -> JSONResponse:
    """The answer to an error."""
    error = _for_strangers(error, request_id)
    status, code = next((s, c) for kind, s, c in _KINDS if isinstance(error, kind))
    headers, details = {}, []
    if isinstance(error, EnrollmentConflict):
        code, details = error.code, [error.in_the_way]
    if code in _RETRIED:
        headers["Retry-After"] = str(_RETRIED[code])
    if isinstance(error, RateLimited):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, KeyRequired):
        headers["WWW-Authenticate"] = "Bearer"
    return _response(status, code, str(error), request_id, details=details, headers=headers)


def _for_strangers(error: errors.LineamentError, request_id: str) -> errors.LineamentError:
    """The error as clients may read it: what only who runs the service can mend, with paths, is for the log alone."""
    if isinstance(error, errors.GalleryCorrupt):
        told: errors.LineamentError = errors.GalleryCorrupt(
            "the gallery is damaged; restore a backup, its check says what is wrong"
        )
    elif isinstance(error, errors.GalleryError) and error.__cause__ is not None:
        told = GalleryUnavailable(
            "the gallery cannot be read or written now; the log of the service says why"
        )
    elif isinstance(error, errors.ConfigError):
        told = errors.ConfigError("the settings of the service have a fault; its log says which")
    elif type(error) is errors.ServiceError:
        told = errors.ServiceError("the service cannot do this now; its log says why")
    elif isinstance(error, errors.NotCalibrated) and str(user_calibration_folder()) in str(error):
        told = errors.NotCalibrated(
            "the service has no calibration record for this, so no rate can be asked for; its log says which one"
        )
    elif isinstance(error, errors.ModelError) and not isinstance(error, _ASKED_FOR):
        told = errors.ModelError("the models of the service cannot do this; its log says why")
    else:
        return error
    log.error("request_failed", extra={"request_id": request_id, "reason": str(error)})
    return told


def fault_response(request_id: str) -> JSONResponse:
    """The answer when the program is at fault."""
    message = "this is a fault of the service; its log says where under this request id"
    return _response(500, "internal", message, request_id)


def errors_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route's ``responses`` declares for these statuses."""
    return {
        status: {"model": ErrorBody, "description": _DESCRIPTIONS.get(status, HTTPStatus(status).phrase)}
        for status in statuses
    }


_DESCRIPTIONS = {
    400: "The body is not what its content type says.",
    401: "No key, or one that does not work.",
    403: "The key may not do this, or a service without keys was called from elsewhere.",
    404: "There is nothing of that name.",
    408: "The body took too long to arrive.",
    413: "The body or a picture is too large.",
    415: "The content type is not read here.",
    422: "A value that is wrong, a picture that cannot be read, or a rate that the calibration cannot support.",
    429: "Too many requests of this key, or more work than the engine can queue; see Retry-After.",
    500: "A fault of the service.",
    503: "Not ready, or no answer in time; see Retry-After.",
}


async def _known(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, errors.LineamentError):
        raise error
    return error_response(request.state.request_id, error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    details = [{"place": ".".join(map(str, f["loc"])), "message": f["msg"]} for f in faults]
    message = "; ".join(f"{d['place']}: {d['message']}" for d in details)
    return _response(422, "invalid_request", message, request.state.request_id, details=details)


async def _framework(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return _response(
        error.status_code, code, str(error.detail), request.state.request_id, headers=error.headers
    )


def _response(
    status: int,
    code: str,
    message: str,
    request_id: str,
    *,
    details: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = ErrorBody(
        error=ErrorDetail(code=code, message=message, details=details or []), request_id=request_id
    )
    return JSONResponse(body.model_dump(), status, dict(headers or {}))

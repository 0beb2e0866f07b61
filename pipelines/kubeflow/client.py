"""kfp's own client, with bounded waits and with each of the API's errors as one line."""

import contextlib
import io
import json
import os
import re
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import kfp
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError, SSLError

from dawnlist.urls import format_error

KFP_CONNECT_SECONDS: Final = 5.0
"""Tried four times, by urllib3's default."""
KFP_READ_SECONDS: Final = 60.0
CA_FILE_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that name a file of certificates, as OpenSSL's and requests' users know them."""

_TOKEN_PATTERN = re.compile(
    r"(?i)\b(?:bearer|basic) +\S+|\b(?:token|cookie|session)[\"']? *[=:] *\S+|eyJ[\w-]+\.[\w-]+\.[\w-]*"
)


class KfpClient(kfp.Client):  # type: ignore[misc]  # kfp ships no types
    """kfp's client, unchanged in how it finds the API and says who it is; it waits for a bounded time.

    Every call raises PermissionError (401, 403), LookupError (404), FileExistsError (409), ValueError (other 4xx) or
    ConnectionError (no answer, 5xx, a page that is no API), each with one line that says what to do.
    """

    def __init__(self, host: str = "", space: str = "") -> None:
        with silence_sdk():
            super().__init__(host=host or None, ssl_ca_cert=_find_ca_file())
        self._bind()
        self.connection_arguments = (host, space)
        """What it was made with, to make another."""
        self.space = space or self.get_user_namespace() or None
        """Whose pipelines and runs, where Kubeflow has several users."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        """Whether the API is up; asked once, where kfp, which asks here within its constructor, waits 25 seconds."""
        self._bind()
        return self._healthz_api.healthz_service_get_healthz()

    def set_user_namespace(self, namespace: str) -> None:
        """Use a namespace from now on; kfp writes it to the home of whoever calls, which a pod can't."""
        self._context_setting["namespace"] = namespace

    @property
    def place(self) -> str:
        """Where the API is."""
        return format_error(self._existing_config.host)

    def ui_link(self, *parts: str) -> str:
        """Where the UI shows something, e.g. ("runs", "details", ID)."""
        return format_error("/".join((self._get_url_prefix().rstrip("/"), "#", *parts)))

    def _bind(self) -> None:
        rest = self._healthz_api.api_client.rest_client  # all of the SDK's parts share it
        rest.request = partial(_send_request, partial(type(rest).request, rest), self.place)


@contextlib.contextmanager
def silence_sdk() -> Iterator[None]:
    """The SDK prints links and warns of versions; the command says what is to be said."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        yield


def _send_request(request: Any, place: str, method: str, url: str, **given: Any) -> Any:
    """One request, in bounded time, whose answer is JSON."""
    try:
        answer = request(
            method, url, **{**given, "_request_timeout": (KFP_CONNECT_SECONDS, KFP_READ_SECONDS)}
        )
    except ApiException as error:
        raise _translate_api_error(error, place) from None
    except HTTPError as error:
        raise ConnectionError(_explain_no_answer(error, method, place)) from None
    if not answer.data.lstrip().startswith(
        b"{"
    ):  # which the SDK would take for an object without fields
        raise ConnectionError(
            f"{place} answers with a page, not as the Kubeflow Pipelines API: probably one to log in at; {_advise_on_access()}"
        )
    return answer


def _translate_api_error(error: ApiException, place: str) -> Exception:
    """The error of an API that answered, as a built-in one; neither headers nor tokens are in it."""
    status, said = error.status, _read_error_message(error)
    if status == 401:
        return PermissionError(f"{place} does not know who asks (401){said}: {_advise_on_access()}")
    if status == 403:
        return PermissionError(f"{place} does not allow this to whoever asks (403){said}")
    if status == 404:
        return LookupError(f"{place} has no such thing (404){said}")
    if status == 409:
        return FileExistsError(
            f"{place} has something else of that name (409){said}: run the command again"
        )
    if 400 <= status < 500:
        return ValueError(f"{place} refuses the request ({status}){said}")
    return ConnectionError(
        f"{place} is in trouble ({status}){said}: try again when it has recovered"
    )


def _read_error_message(error: ApiException) -> str:
    """What the API says is wrong, in short, behind a colon; a proxy's page says nothing."""
    try:
        body = json.loads(error.body or "")
        text = str(body.get("message") or body.get("error") or error.reason)
    except (ValueError, AttributeError):
        text = str(error.reason or "")
    return f": {_TOKEN_PATTERN.sub('***', format_error(text))[:300]}" if text else ""


def _explain_no_answer(error: HTTPError, method: str, place: str) -> str:
    """Why there is no answer; one that breaks off may have been to something that was done."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, SSLError):
        return (
            f"{place} is not trusted ({format_error(reason)[:200]}): where an authority of your own signs for it, name the "
            f"file of its certificate in {CA_FILE_VARIABLES[0]}"
        )
    said = re.sub(
        r"^.*?(?:object at 0x\w+>|HTTPS?Connection\([^)]*\)): ", "", format_error(reason)
    )[:200]
    if isinstance(reason, ProtocolError | ReadTimeoutError):
        known = (
            ""
            if method == "GET"
            else "; whether that was done is not known: look at the UI or `dawnlist status`"
        )
        return f"{place} was asked and broke off ({said}){known}"
    return f"no Kubeflow Pipelines API answers at {place} ({said}): {_advise_on_access()}"


def _find_ca_file() -> str | None:
    """The file of the authorities to trust, where one is named; the SDK would know no other than Mozilla's."""
    return next((file for name in CA_FILE_VARIABLES if (file := os.environ.get(name))), None)


def _advise_on_access() -> str:
    if not os.environ.get("KF_PIPELINES_ENDPOINT"):
        return "give --host or KF_PIPELINES_ENDPOINT, and who you are as kfp takes it (docs/KUBEFLOW.md)"
    return "check KF_PIPELINES_ENDPOINT, --host and who you are to it (docs/KUBEFLOW.md)"

"""Call the API of Kubeflow Pipelines by kfp's own client, with time limits and one-line errors."""

import contextlib
import io
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any, Final

import kfp
from kfp_server_api import ApiException
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError, SSLError

from dawnlist.urls import format_error

KFP_CONNECT_SECONDS: Final = 5.0
"""The time limit of a connection. urllib3 tries four times by default."""
KFP_READ_SECONDS: Final = 60.0
"""The time limit of an answer."""
CA_FILE_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Environment variables that name a file of certificates, as OpenSSL and requests use them."""

_TOKEN_PATTERN = re.compile(
    r"(?i)\b(?:bearer|basic) +\S+|\b(?:token|cookie|session)[\"']? *[=:] *\S+|eyJ[\w-]+\.[\w-]+\.[\w-]*"
)

_CONNECTION_PREFIX = re.compile(r"^.*?(?:object at 0x\w+>|HTTPS?Connection\([^)]*\)): ")
"""The start of urllib3's messages, which names objects of Python."""


UI_PORT_FORWARD: Final = "kubectl port-forward --namespace kubeflow svc/ml-pipeline-ui 8080:80"
"""The command that makes the UI available where only the API can be reached."""


class WebPageError(ConnectionError):
    """The answer is a web page, where the API's JSON was expected."""


class KfpClient(kfp.Client):  # type: ignore[misc]  # kfp ships no types
    """kfp's client with time limits and plain errors. It finds the API and logs in as kfp does.

    Every method raises PermissionError (401, 403), LookupError (404), FileExistsError (409),
    ValueError (any other 4xx) or ConnectionError (no answer, 5xx, or an answer that is a web page).
    The message is one line that says what to do.
    """

    def __init__(self, host: str = "", space: str = "") -> None:
        # urllib3 warns about each of its tries, while our errors say what happened. The SDK sets the
        # level of its parent, `urllib3`.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        with silence_sdk():
            super().__init__(host=host or None, ssl_ca_cert=_find_ca_file())
        self._bind()
        self.connection_arguments = (host, space)
        """The arguments of this client, to create another one like it."""
        self.space = space or self.get_user_namespace() or None
        """The profile whose pipelines and runs are meant, in a Kubeflow with several users."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        """Ask once whether the API is up. kfp, which asks in its constructor, waits 25 seconds."""
        self._bind()
        return self._healthz_api.healthz_service_get_healthz()

    def set_user_namespace(self, namespace: str) -> None:
        """Use a namespace from now on. kfp would write it to the home folder, which a pod can't."""
        self._context_setting["namespace"] = namespace

    @property
    def api_url(self) -> str:
        """The URL of the API, for messages."""
        return format_error(self._existing_config.host)

    def read_version_text(self) -> str:
        """Read the version that the API says, e.g. '2.17.0'; 'unknown' when it says none.

        kfp's own answer of `get_kfp_healthz` leaves the version out.
        """
        answer = self._get("/apis/v2beta1/healthz")
        return str(answer.get("tag_name") or "unknown")

    def ui_link(self, *parts: str) -> str:
        """Build the link of a page in the UI, e.g. from ("runs", "details", ID).

        Where only the API can be reached, the link is followed by the command that makes it work.
        """
        path = "/".join(("#", *parts))
        if self._ui_url is None:
            return f"http://localhost:8080/{path} after `{UI_PORT_FORWARD}`"
        return format_error(f"{self._ui_url}/{path}")

    @cached_property
    def _ui_url(self) -> str | None:
        """The URL of the UI; None when it is not known.

        kfp takes the API's address, where KF_PIPELINES_UI_ENDPOINT names no other. This is right
        behind the UI's own server, which passes the API's requests on. A port-forward of the API,
        the address in the cluster and the proxy of Kubernetes serve no page.
        """
        if os.environ.get("KF_PIPELINES_UI_ENDPOINT"):
            return str(self._get_url_prefix()).rstrip("/")
        try:
            self._get("/")
        except WebPageError:
            return str(self._existing_config.host).rstrip("/")
        except (OSError, ValueError, LookupError):
            return None
        return None

    def _get(self, path: str) -> Any:
        """Read a path below the API's address, as JSON."""
        return self._healthz_api.api_client.call_api(
            path,
            "GET",
            header_params={"Accept": "application/json"},
            response_type="object",
            auth_settings=["Bearer"],
            _return_http_data_only=True,
        )

    def _bind(self) -> None:
        """Send all requests through `_send_request`."""
        # All APIs of the SDK share this client.
        rest_client = self._healthz_api.api_client.rest_client
        send = partial(type(rest_client).request, rest_client)
        rest_client.request = partial(_send_request, send, self.api_url)


@contextlib.contextmanager
def silence_sdk() -> Iterator[None]:
    """Hide the links and warnings that the SDK prints. Our commands print what matters."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        yield


def _send_request(send: Any, api_url: str, method: str, url: str, **options: Any) -> Any:
    """Send a request with a time limit, and check that the answer is JSON."""
    options["_request_timeout"] = (KFP_CONNECT_SECONDS, KFP_READ_SECONDS)
    try:
        answer = send(method, url, **options)
    except ApiException as error:
        raise _translate_api_error(error, api_url) from None
    except HTTPError as error:
        raise ConnectionError(_explain_no_answer(error, method, api_url)) from None
    # The SDK would take a web page for an object without fields.
    if not answer.data.lstrip().startswith(b"{"):
        raise WebPageError(
            f"{api_url} answers with a web page, not as the Kubeflow Pipelines API; it is probably a login page: "
            f"{_advise_on_access()}"
        )
    return answer


def _translate_api_error(error: ApiException, api_url: str) -> Exception:
    """Turn an error answer of the API into a built-in exception, without headers and tokens."""
    status, reason = error.status, _read_error_message(error)
    if status == 401:
        return PermissionError(
            f"{api_url} does not accept your credentials (401){reason}: {_advise_on_access()}"
        )
    if status == 403:
        return PermissionError(f"{api_url} does not allow you to do this (403){reason}")
    if status == 404:
        return LookupError(f"{api_url} has no such object (404){reason}")
    if status == 409:
        return FileExistsError(
            f"{api_url} already has another object of that name (409){reason}: run the command again"
        )
    if 400 <= status < 500:
        return ValueError(f"{api_url} refuses the request ({status}){reason}")
    return ConnectionError(
        f"{api_url} has an error of its own ({status}){reason}: try again when it has recovered"
    )


def _read_error_message(error: ApiException) -> str:
    """Read the API's message, cut short and after a colon. The page of a proxy has no message."""
    try:
        body = json.loads(error.body or "")
        text = str(body.get("message") or body.get("error") or error.reason)
    except (ValueError, AttributeError):
        text = str(error.reason or "")
    if not text:
        return ""
    masked = _TOKEN_PATTERN.sub("***", format_error(text))
    return f": {masked[:300]}"


def _explain_no_answer(error: HTTPError, method: str, api_url: str) -> str:
    """Explain why there is no answer. A request that broke off may have been carried out."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, SSLError):
        return (
            f"{api_url} is not trusted ({format_error(reason)[:200]}): if your own authority signed its certificate, "
            f"name the file of its certificate in {CA_FILE_VARIABLES[0]}"
        )
    cause = _CONNECTION_PREFIX.sub("", format_error(reason))[:200]
    if isinstance(reason, ProtocolError | ReadTimeoutError):
        message = f"{api_url} broke off the request ({cause})"
        if method != "GET":
            message += "; whether that was done is not known: look at the UI or `dawnlist status`"
        return message
    return f"no Kubeflow Pipelines API answers at {api_url} ({cause}): {_advise_on_access()}"


def _find_ca_file() -> str | None:
    """Return the file of trusted certificates that the environment names.

    Without it the SDK would trust Mozilla's authorities only.
    """
    for name in CA_FILE_VARIABLES:
        file = os.environ.get(name)
        if file:
            return file
    return None


def _advise_on_access() -> str:
    if not os.environ.get("KF_PIPELINES_ENDPOINT"):
        return "give --host or KF_PIPELINES_ENDPOINT, and credentials as kfp takes them (docs/KUBEFLOW-RUNS.md)"
    return "check KF_PIPELINES_ENDPOINT, --host and your credentials (docs/KUBEFLOW-RUNS.md)"

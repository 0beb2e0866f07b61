"""Call the JSON API of another system over HTTP, with errors of one line and without secrets."""

from types import TracebackType
from typing import Any, Final

import httpx

from dawnlist.urls import format_error
from dawnlist.values import cut_text

REQUEST_SECONDS: Final = 10.0
"""How long one request may wait for its connection, and then for each part of its answer."""
MAX_ANSWER_TEXT: Final = 200
"""Characters of a server's message that an error quotes."""

JsonObject = dict[str, Any]


class RestApiError(ConnectionError):
    """The server does not answer, or refuses a request."""


class RestApi:
    """A JSON API. It is a context manager, which closes its connections at the end.

    Redirects are not followed: a token must not reach another server than that of the settings.
    """

    def __init__(
        self, url: str, token: str | None = None, basic_auth: tuple[str, str] | None = None
    ) -> None:
        """Prepare the client; nothing is sent yet.

        Args:
            url: The address that the paths of requests are added to.
            token: Sent as a bearer token, if it is not empty.
            basic_auth: A user and a password, which are sent if there is no token.
        """
        self._url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        auth = None
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif basic_auth:
            auth = httpx.BasicAuth(*basic_auth)
        self._client = httpx.Client(headers=headers, auth=auth, timeout=REQUEST_SECONDS)

    def __enter__(self) -> "RestApi":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def find(self, path: str, **query: str) -> JsonObject | None:
        """Send a GET; None when the server answers 404, not found.

        Raises:
            RestApiError: The server does not answer, or refuses.
        """
        response = self._send("GET", path, query, None)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return self._read_answer(path, response)

    def post(self, path: str, body: JsonObject) -> JsonObject:
        """Send a POST with a JSON body.

        Raises:
            RestApiError: The server does not answer, or refuses.
        """
        return self._read_answer(path, self._send("POST", path, {}, body))

    def _send(
        self, method: str, path: str, query: dict[str, str], body: JsonObject | None
    ) -> httpx.Response:
        try:
            return self._client.request(method, f"{self._url}{path}", params=query, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = format_error(error) or type(error).__name__
            raise RestApiError(f"{self._url} does not answer: {reason}") from None

    def _read_answer(self, path: str, response: httpx.Response) -> JsonObject:
        place = f"{self._url}{path} answers {response.status_code}"
        if response.is_redirect:
            raise RestApiError(f"{place}: a login page is in between; give the service's address")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        message = answer.get("message") if isinstance(answer, dict) else "no JSON object"
        text = cut_text(format_error(message or "without a reason"), MAX_ANSWER_TEXT)
        raise RestApiError(f"{place}: {text}")

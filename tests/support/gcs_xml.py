"""Google's XML API, which delta-rs speaks, in front of an emulator that only knows the JSON API: one set of objects."""

import http.server
import itertools
import sys
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import httpx


class XmlApi(http.server.BaseHTTPRequestHandler):
    """What object_store sends: objects, listings, copies and multipart uploads."""

    protocol_version = "HTTP/1.1"
    json_api: ClassVar[httpx.Client]
    parts: ClassVar[dict[str, dict[int, bytes]]] = {}
    numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def do_GET(self) -> None:
        if self.path == "/":
            return self.answer(200)
        if self.query.get("list-type"):
            return self.listing()
        return self.download()

    def do_HEAD(self) -> None:
        self.download()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if upload := self.query.get("uploadId"):
            self.parts[upload][int(self.query["partNumber"])] = body
            return self.answer(200, headers={"ETag": f'"{self.query["partNumber"]}"'})
        if source := self.headers.get("x-goog-copy-source"):
            bucket, _, key = unquote(source).lstrip("/").partition("/")
            found = self.json_api.get(
                f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}", params={"alt": "media"}
            )
            if found.status_code != 200:
                return self.answer(found.status_code)
            return self.upload(found.content, b"<CopyObjectResult></CopyObjectResult>")
        return self.upload(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if upload := self.query.get("uploadId"):
            parts = self.parts.pop(upload)
            whole = b"".join(parts[number] for number in sorted(parts))
            return self.upload(
                whole,
                b"<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>",
            )
        upload = str(next(self.numbers))
        self.parts[upload] = {}
        text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        return self.answer(200, text.encode())

    def do_DELETE(self) -> None:
        self.answer(self.json_api.delete(self.object_path).status_code)

    def download(self) -> None:
        asked = {"Range": self.headers["Range"]} if self.headers["Range"] else {}
        found = self.json_api.get(self.object_path, params={"alt": "media"}, headers=asked)
        names = ("ETag", "Last-Modified", "Content-Range", "X-Goog-Generation")
        headers = {name: found.headers[name] for name in names if name in found.headers}
        self.answer(found.status_code, found.content, headers)

    def upload(self, body: bytes, text: bytes = b"") -> None:
        options = {"uploadType": "media", "name": self.key}
        if expected := self.headers.get("x-goog-if-generation-match"):
            options["ifGenerationMatch"] = expected
        made = self.json_api.post(
            f"/upload/storage/v1/b/{self.bucket}/o", params=options, content=body
        )
        about = made.json() if made.status_code == 200 else {}
        headers = (
            {"ETag": f'"{about["generation"]}"', "x-goog-generation": about["generation"]}
            if about
            else {}
        )
        self.answer(made.status_code, text, headers)

    def listing(self) -> None:
        asked = httpx.QueryParams(
            {"prefix": self.query.get("prefix", ""), "delimiter": self.query.get("delimiter", "")}
        )
        answer = self.json_api.get(f"/storage/v1/b/{self.bucket}/o", params=asked)
        if answer.status_code != 200:
            return self.answer(answer.status_code)
        found = answer.json()
        after = self.query.get("start-after", "")
        contents = "".join(
            f"<Contents><Key>{escape(item['name'])}</Key><Size>{item['size']}</Size>"
            f'<LastModified>{item["updated"]}</LastModified><ETag>"{item["generation"]}"</ETag></Contents>'
            for item in found.get("items", [])
            if item["name"] > after
        )
        folders = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            for name in found.get("prefixes", [])
        )
        return self.answer(
            200, f"<ListBucketResult>{contents}{folders}</ListBucketResult>".encode()
        )

    @property
    def query(self) -> dict[str, str]:
        return {
            name: values[0] for name, values in parse_qs(urlsplit(self.path).query, True).items()
        }

    @property
    def bucket(self) -> str:
        return urlsplit(self.path).path.lstrip("/").partition("/")[0]

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path.lstrip("/").partition("/")[2])

    @property
    def object_path(self) -> str:
        return f"/storage/v1/b/{self.bucket}/o/{quote(self.key, safe='')}"

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def serve(emulator: str, port: int) -> None:
    """Serve the XML API of an emulator's objects. In a process of its own: delta-rs asks with Python's lock held."""
    with httpx.Client(base_url=emulator, timeout=30) as client:
        XmlApi.json_api = client
        with http.server.ThreadingHTTPServer(("127.0.0.1", port), XmlApi) as server:
            server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))

"""The part of Kubeflow's Model Registry (Hub) API that Dawnlist uses, with state, held to its OpenAPI definition.

The models' fields and the answers' statuses were read in kubeflow/hub: the client that is generated from
api/openapi/model-registry.yaml (model-registry 0.3.18, `mr_openapi`), and
internal/server/openapi/v1/api_model_registry_service_service.go at c0c4f33.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.json_api import JsonApi, Object, RefusedError, Request, check_body

Answer = tuple[int, Object]
BASE: Final[dict[str, Any]] = {
    "customProperties": dict, "description": str, "externalId": str, "name": str,
}  # fmt: skip
MODEL: Final = {
    **BASE,
    "readme": str,
    "owner": str,
    "language": list,
    "tasks": list,
    "state": ("LIVE", "ARCHIVED"),
}
VERSION: Final = {**BASE, "author": str, "registeredModelId": str, "state": ("LIVE", "ARCHIVED")}
ARTIFACT: Final = {
    **BASE, "artifactType": ("model-artifact",), "modelFormatName": str, "modelFormatVersion": str, "storageKey": str,
    "storagePath": str, "serviceAccountName": str, "uri": str,
    "state": ("UNKNOWN", "PENDING", "LIVE", "MARKED_FOR_DELETION", "DELETED", "ABANDONED", "REFERENCE"),
}  # fmt: skip
PROPERTIES: Final[dict[str, tuple[str, Any]]] = {
    "MetadataStringValue": ("string_value", str),
    "MetadataIntValue": ("int_value", str),
    "MetadataDoubleValue": ("double_value", (int, float)),
    "MetadataBoolValue": ("bool_value", bool),
}
"""The field and the type of a property, by its metadataType."""


@dataclass
class ModelRegistry(JsonApi):
    """A registry with `versions` of its API."""

    versions: tuple[str, ...] = ("v1", "v1alpha3")
    models: list[Object] = field(default_factory=list)
    model_versions: list[Object] = field(default_factory=list)
    artifacts: list[Object] = field(default_factory=list)
    token: str = ""
    """The bearer token that requests must have; empty for none."""

    def __post_init__(self) -> None:
        root = f"/api/model_registry/(?:{'|'.join(self.versions)})"
        self.routes = [
            ("GET", f"{root}/registered_models", self._list_models),
            ("GET", f"{root}/registered_model", self._find_model),
            ("POST", f"{root}/registered_models", self._create_model),
            ("GET", f"{root}/model_version", self._find_version),
            ("POST", f"{root}/model_versions", self._create_version),
            ("GET", f"{root}/model_versions/([0-9]+)/artifacts", self._list_artifacts),
            ("POST", f"{root}/model_versions/([0-9]+)/artifacts", self._create_artifact),
        ]

    def answer(self, request: Request) -> tuple[int, Object | None]:
        """Refuse a caller without the token, as a gateway does."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            self.requests.append(request)
            return 401, {"code": "Unauthorized", "message": "a valid token is needed"}
        return super().answer(request)

    def _list_models(self, request: Request, _: "re.Match[str]") -> Answer:
        return 200, _list(self.models, request)

    def _find_model(self, request: Request, _: "re.Match[str]") -> Answer:
        return 200, _find(self.models, name=request.query["name"])

    def _create_model(self, request: Request, _: "re.Match[str]") -> Answer:
        check_body(request.body, MODEL, ("name",))
        return 201, _create(self.models, request.body, ("name",))

    def _find_version(self, request: Request, _: "re.Match[str]") -> Answer:
        wanted = {
            "name": request.query["name"],
            "registeredModelId": request.query["parentResourceId"],
        }
        return 200, _find(self.model_versions, **wanted)

    def _create_version(self, request: Request, _: "re.Match[str]") -> Answer:
        check_body(request.body, VERSION, ("name", "registeredModelId"))
        _check_properties(request.body)
        _find(self.models, id=request.body["registeredModelId"])
        return 201, _create(self.model_versions, request.body, ("name", "registeredModelId"))

    def _list_artifacts(self, request: Request, match: "re.Match[str]") -> Answer:
        return 200, _list([each for each in self.artifacts if each["of"] == match[1]], request)

    def _create_artifact(self, request: Request, match: "re.Match[str]") -> Answer:
        check_body(request.body, ARTIFACT, ("artifactType",))
        _check_properties(request.body)
        _find(self.model_versions, id=match[1])
        return 201, _create(self.artifacts, {**request.body, "of": match[1]}, ("name",))


def _list(objects: list[Object], request: Request) -> Object:
    items = objects[: int(request.query.get("pageSize", "100"))]
    return {"items": items, "size": len(items), "pageSize": len(items), "nextPageToken": ""}


def _find(objects: list[Object], **wanted: str) -> Object:
    for each in objects:
        if all(each[name] == value for name, value in wanted.items()):
            return each
    raise RefusedError(404, "Not Found", f"nothing found for {wanted}: not found")


def _create(objects: list[Object], body: Object, unique: tuple[str, ...]) -> Object:
    for each in objects:
        if all(each[name] == body[name] for name in unique):
            raise RefusedError(409, "Conflict", f"{body['name']} exists: already exists")
    created = {**body, "id": str(len(objects) + 1), "createTimeSinceEpoch": "0"}
    objects.append(created)
    return created


def _check_properties(body: Object) -> None:
    for name, value in body.get("customProperties", {}).items():
        value_field, kind = PROPERTIES[value["metadataType"]]
        if value.keys() != {"metadataType", value_field} or not isinstance(
            value[value_field], kind
        ):
            raise RefusedError(400, "Bad Request", f"property {name} is {value}")

"""Enter published versions into Kubeflow's Model Registry (Kubeflow Hub), through its REST API.

A shop is one registered model, a version of the store is one of its model versions, and that has
one artifact, the model in the lake. Nothing is changed that is there already. A version that could
not be registered on its day is registered by a later run, as long as it is among the newest.
"""

from collections.abc import Mapping
from typing import Any, Final

from dawnlist.lake.lake import Lake
from dawnlist.records.registry import Publication, list_recent_publications
from dawnlist.records.rest_api import JsonObject, RestApi
from dawnlist.secret_values import read_secret
from dawnlist.urls import MODEL_REGISTRY_TOKEN

API_ROOTS: Final = ("/api/model_registry/v1", "/api/model_registry/v1alpha3")
"""The API's versions, the newest first. Older releases have only the second one."""
MAX_REGISTERED: Final = 10
"""How many of the newest publications are looked at."""
TEXT_PROPERTIES: Final = ("as_of", "run", "winner", "engine", "configured", "store")
"""Fields of a publication that become properties of the model version."""


def register_publications(lake: Lake, url: str, shop: str) -> str:
    """Enter the newest publications of a lake that are not in the registry yet.

    Args:
        lake: The shop's lake.
        url: The registry's address, e.g. http://model-registry-service.kubeflow:8080.
        shop: The shop's namespace. The registered model is `dawnlist-SHOP`.

    Returns:
        What is registered now, in one line; empty if nothing was published yet.

    Raises:
        RestApiError: The registry does not answer, or refuses.
    """
    publications = list_recent_publications(lake, MAX_REGISTERED)
    if not publications:
        return ""
    model_name = f"dawnlist-{shop}"
    with RestApi(url, read_secret(MODEL_REGISTRY_TOKEN)) as api:
        root = _choose_api_root(api)
        model_id = _register_model(api, root, model_name, shop)
        for publication in publications:
            version_id = _register_version(api, root, model_id, publication)
            _register_artifact(api, root, version_id, publication, lake.uri)
    newest = publications[-1]
    return f"version {newest['version']} is {model_name}, version {newest['token']}"


def _choose_api_root(api: RestApi) -> str:
    """Return the newest version of the API that the server has."""
    newest, older = API_ROOTS
    answer = api.find(f"{newest}/registered_models", pageSize="1")
    if answer is None:
        return older
    return newest


def _register_model(api: RestApi, root: str, name: str, shop: str) -> str:
    """Return the id of the registered model; it is created if it is missing."""
    model = api.find(f"{root}/registered_model", name=name)
    if model is None:
        description = f"Dawnlist's daily recommendations for the shop {shop}."
        model = api.post(f"{root}/registered_models", {"name": name, "description": description})
    return str(model["id"])


def _register_version(api: RestApi, root: str, model_id: str, publication: Publication) -> str:
    """Return the id of the model version; it is created if it is missing."""
    token = publication["token"]
    version = api.find(f"{root}/model_version", name=token, parentResourceId=model_id)
    if version is None:
        body = {
            "name": token,
            "registeredModelId": model_id,
            "description": f"Version {publication['version']} of {publication['as_of']}.",
            "customProperties": build_properties(publication),
        }
        version = api.post(f"{root}/model_versions", body)
    return str(version["id"])


def _register_artifact(
    api: RestApi, root: str, version_id: str, publication: Publication, lake_uri: str
) -> None:
    """Give a model version the model's place in the lake, unless it has an artifact."""
    path = f"{root}/model_versions/{version_id}/artifacts"
    existing = api.find(path, pageSize="1") or {}
    if existing.get("items"):
        return
    body = {
        "artifactType": "model-artifact",
        "name": f"{publication['model']}-{publication['token']}",
        "uri": f"{lake_uri}/models/{publication['model']}",
        "modelFormatName": "dawnlist",
        "state": "LIVE",
    }
    api.post(path, body)


def build_properties(publication: Publication) -> JsonObject:
    """Return a publication's facts and metrics as the API's typed properties."""
    version = publication["version"]
    properties: JsonObject = {
        "version": {"metadataType": "MetadataIntValue", "int_value": str(version)}
    }
    for name in TEXT_PROPERTIES:
        if publication.get(name):
            properties[name] = _build_text(publication[name])
    metrics: Mapping[str, Any] = publication.get("metrics") or {}
    for name, value in metrics.items():
        properties[name] = {"metadataType": "MetadataDoubleValue", "double_value": float(value)}
    return properties


def _build_text(value: object) -> JsonObject:
    return {"metadataType": "MetadataStringValue", "string_value": str(value)}

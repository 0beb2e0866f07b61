from pathlib import Path

import pytest

from dawnlist.schema import EVENT_WEIGHTS
from dawnlist.settings import Settings


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_no_settings_are_the_defaults() -> None:
    assert Settings.load("") == Settings()


def test_what_is_given_is_read(tmp_path: Path) -> None:
    settings = Settings.load(
        write(tmp_path / "s.yaml", "gate: {margin: 0.02}\nsource: {columns: {user_id: [visitor]}}")
    )
    assert (settings.gate.margin, settings.source.columns) == (0.02, {"user_id": ["visitor"]})
    assert Settings.load((tmp_path / "s.yaml").as_uri()) == settings


def test_weights_are_added_to_the_defaults(tmp_path: Path) -> None:
    text = "source: {weights: {Purchase: 10, wishlist: 2, view: 0}, events: {Seen: Click}}"
    source = Settings.load(write(tmp_path / "s.yaml", text)).source
    wanted = {**EVENT_WEIGHTS, "purchase": 10, "wishlist": 2}
    assert source.weights == {**wanted, "view": 0}
    del wanted["view"]
    assert source.wanted_weights == wanted
    assert source.events == {"Seen": "click"}
    assert Settings.load("").source.wanted_weights == EVENT_WEIGHTS


def test_the_shops_own_apps_are_added_to_the_agents_of_people(tmp_path: Path) -> None:
    text = "bots: {allow_agents: [ShopApp/, MetaIAB]}"
    assert Settings.load(write(tmp_path / "s.yaml", text)).bots.allow_agents == [
        "MetaIAB",
        "ShopApp/",
    ]


def test_on_and_off_need_no_quotes(tmp_path: Path) -> None:
    bots = Settings.load(
        write(tmp_path / "s.yaml", "bots: {behaviour: off, staff: on, deny: [x]}")
    ).bots
    assert (bots.behaviour, bots.staff) == ("off", "on")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gate: {margin: 2}", r"gate.margin is 2: Input should be less than 1"),
        (
            "gates: {}",
            r"gates is {}: there is no such name; the names here are source, bots, lists, gate, limits, keep,",
        ),
        (
            "gate: {margins: 1}",
            r"gate.margins is 1: there is no such name; the names here are margin, ",
        ),
        ("bots: {staff: maybe}", r"bots.staff is 'maybe': Input should be 'on', 'off' or 'shadow'"),
        (
            "source: {weights: {view: -1}}",
            r"the weight of 'view' is -1.0: give a number below 1000",
        ),
        ("source: {weights: {view: 1000}}", r"the weight of 'view' is 1000.0: give a number below"),
        ("source: {weights: {view: }}", r"source.weights.view is None: Input should be a valid"),
        (
            "source: {weights: {view: 0, click: 0, like: 0, bookmark: 0, comment: 0, cart: 0, "
            "follow: 0, purchase: 0, rating: 0}}",
            r"every event type has the weight 0: name one that is wanted",
        ),
        ("a: [", "are not valid YAML"),
    ],
)
def test_a_mistake_is_one_line_with_place_value_and_rule(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Settings.load(write(tmp_path / "s.yaml", text))
    assert "\n" not in str(error.value)


def test_missing_settings_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="were not found"):
        Settings.load(str(tmp_path / "absent.yaml"))

"""Enrichment: emoji in one form, moods with weights, devices, programs, and places of requests."""

import json
import re
from pathlib import Path
from typing import Any

import emoji
import pytest

from dawnlist.serving.collector.enrich.agents import AgentReader
from dawnlist.serving.collector.enrich.emojis import find_emoji, name_emoji
from dawnlist.serving.collector.enrich.moods import Mood, MoodTable
from dawnlist.serving.collector.places import Place, PlaceFinder
from dawnlist.settings import CollectorSettings

GEOIP = Path(__file__).parents[2] / "shared" / "data" / "geoip"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/16.5 Mobile/15E148 Safari/604.1"
)
ANDROID_TABLET = (
    "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/112.0.0.0 Safari/537.36"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("text", "normal", "name"),
    [
        ("\U0001f44d", "\U0001f44d", "thumbs_up"),
        ("\U0001f44d\U0001f3fd", "\U0001f44d", "thumbs_up"),  # a skin tone
        ("\u2764\ufe0f", "\u2764", "red_heart"),  # as a picture
        ("\u2764\ufe0e", "\u2764", "red_heart"),  # as a text
        ("\u263a", "\u263a", "smiling_face"),
        # A family stays whole, and so does a couple of two skin tones.
        (FAMILY, FAMILY, "family_man_woman_girl"),
        (
            "\U0001f469\U0001f3fe\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468\U0001f3fb",
            "\U0001f469\u200d\u2764\u200d\U0001f48b\u200d\U0001f468",
            "kiss_woman_man",
        ),
        ("\U0001f937\U0001f3fd\u200d\u2640\ufe0f", "\U0001f937\u200d\u2640", "woman_shrugging"),
        ("\U0001f1e9\U0001f1ea", "\U0001f1e9\U0001f1ea", "Germany"),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",) * 2 + ("England",),
        ("\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f3f3\u200d\U0001f308", "rainbow_flag"),
        ("1\ufe0f\u20e3", "1\u20e3", "keycap_1"),
        ("#\u20e3", "#\u20e3", "keycap_#"),
        ("\U0001f3fd", "\U0001f3fd", ""),  # a skin tone alone
        ("wow \U0001f60d\U0001f60d!", "\U0001f60d", "smiling_face_with_heart-eyes"),
        ("wow", "", ""),
        ("1", "", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_an_emoji_has_one_form(text: str, normal: str, name: str) -> None:
    assert find_emoji(text) == normal
    assert find_emoji(normal) == normal
    assert name_emoji(normal) == name


@pytest.mark.parametrize(
    ("toned", "toneless"),
    [
        # Unicode writes these with two people each, and without a tone as one sign.
        ("\U0001f468\U0001f3ff\u200d\U0001f91d\u200d\U0001f468\U0001f3fb", "\U0001f46c"),
        ("\U0001faf1\U0001f3ff\u200d\U0001faf2\U0001f3fb", "\U0001f91d"),
        ("\U0001f9d1\U0001f3fd\u200d\u2764\ufe0f\u200d\U0001f9d1\U0001f3fb", "\U0001f491"),
        ("\U0001f468\U0001f3fd\u200d\U0001f430\u200d\U0001f468\U0001f3fb", "\U0001f46f\u200d\u2642"),
    ],
)  # fmt: skip
def test_a_couple_of_two_skin_tones_has_the_form_of_the_sign(toned: str, toneless: str) -> None:
    assert find_emoji(toned) == toneless
    assert MoodTable({toneless: 4.0}).read_mood(toned).weight == 4.0
    assert MoodTable({toned: 4.0}).read_mood(toneless).weight == 4.0


def test_every_emoji_of_unicode_has_one_form_and_a_name() -> None:
    parts_of_emoji = []
    for sequence in emoji.EMOJI_DATA:
        form = find_emoji(sequence)
        assert form, sequence
        assert find_emoji(form) == form, sequence
        if not name_emoji(form):
            parts_of_emoji.append(sequence)
    # Only skin tones and hair, which are parts of other emoji, have no name.
    assert len(parts_of_emoji) == 9
    assert len(emoji.EMOJI_DATA) > 5_000


def test_every_emoji_with_a_skin_tone_has_the_form_of_the_one_without() -> None:
    tones = re.compile("[\U0001f3fb-\U0001f3ff]")
    # Names tell what belongs together: "kiss_person_person_light_skin_tone_dark_skin_tone" is a "kiss".
    tone_words = re.compile("(_person_person)?(_(medium-)?(light|medium|dark)_skin_tone)+")
    toneless = {
        data["en"].strip(":"): sequence
        for sequence, data in emoji.EMOJI_DATA.items()
        if not tones.search(sequence) and data["status"] == emoji.STATUS["fully_qualified"]
    }
    toned = [
        sequence for sequence in emoji.EMOJI_DATA if len(sequence) > 1 and tones.search(sequence)
    ]
    for sequence in toned:
        name = tone_words.sub("", emoji.EMOJI_DATA[sequence]["en"]).strip(":")
        assert find_emoji(sequence) == find_emoji(toneless[name]), name
    assert len(toned) > 2_900


def test_moods_have_signed_weights_and_the_shops_win() -> None:
    usual = MoodTable({})
    assert usual.read_mood("\U0001f44d\U0001f3ff") == Mood("\U0001f44d", "thumbs_up", 2.0)
    assert usual.read_mood(" :Bored: ") == Mood("", "bored", -1.0)
    assert usual.read_mood("\U0001f622") == Mood("\U0001f622", "crying_face", None)
    assert usual.read_mood("sleepy") == Mood("", "sleepy", None)
    own = MoodTable({"\U0001f44d\U0001f3fd": 7, "Sleepy": -3})
    assert own.read_mood("\U0001f44d").weight == 7
    assert own.read_mood("sleepy").weight == -3
    assert own.read_mood("bored").weight == -1.0


def test_an_agent_tells_device_system_and_app() -> None:
    traits = AgentReader().read_agents([IPHONE, ANDROID_TABLET, GOOGLEBOT])
    phone, tablet, program = (traits[agent] for agent in (IPHONE, ANDROID_TABLET, GOOGLEBOT))
    assert (phone.device, phone.model, phone.system, phone.app) == (
        "mobile",
        "iPhone",
        "iOS",
        "Mobile Safari",
    )
    assert (tablet.device, tablet.system, tablet.is_program) == ("tablet", "Android", False)
    assert program.is_program and not phone.is_program


def test_agents_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dawnlist.serving.collector.enrich.agents.CACHED_AGENTS", 2)
    reader = AgentReader()
    reader.read_agents(["a/1", "b/1"])
    reader.read_agents(["a/1", "c/1"])
    assert list(reader._traits) == ["a/1", "c/1"]


def find(
    headers: dict[str, str] | None = None, peer: str = "203.0.113.7", **settings: Any
) -> Place:
    return PlaceFinder(CollectorSettings.model_validate(settings)).find_place(peer, headers or {})


def test_an_address_leaves_as_its_network() -> None:
    assert find() == Place("203.0.113.0/24")
    assert find(peer="2001:db8:7:8::1") == Place("2001:db8:7::/48")
    assert find(peer="::ffff:203.0.113.7") == Place("203.0.113.0/24")
    assert find(peer="testclient") == Place()


def test_a_forwarded_address_counts_only_from_a_trusted_proxy() -> None:
    headers = {"x-forwarded-for": "192.0.2.1, 198.51.100.9, 10.0.0.2"}
    assert find(headers).network == "203.0.113.0/24"
    trusted: dict[str, Any] = {"trusted_proxies": ["10.0.0.0/8"]}
    assert find(headers, **trusted).network == "203.0.113.0/24"
    assert find(headers, peer="10.0.0.1", **trusted).network == "198.51.100.0/24"
    assert (
        find({"x-forwarded-for": "[2001:db8::1]:443"}, peer="10.0.0.1", **trusted).network
        == "2001:db8::/48"
    )
    assert (
        find({"x-forwarded-for": "198.51.100.9:8080"}, peer="10.0.0.1", **trusted).network
        == "198.51.100.0/24"
    )
    assert find({"x-forwarded-for": "unknown"}, peer="10.0.0.1", **trusted).network == ""


def test_the_country_comes_from_a_header_that_the_settings_name() -> None:
    headers = {"cf-ipcountry": "de", "x-region": "BE"}
    assert find(headers) == Place("203.0.113.0/24")
    named: dict[str, Any] = {"country_headers": ["CF-IPCountry"], "region_headers": ["x-region"]}
    assert find(headers, **named) == Place("203.0.113.0/24", "DE", "BE")
    for unknown in ("XX", "T1", ""):
        assert find({"cf-ipcountry": unknown}, country_headers=["CF-IPCountry"]).country == ""


def test_a_place_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"collector\.place_file"):
        find(place_file=str(tmp_path / "missing.mmdb"))
    (tmp_path / "bad.mmdb").write_text("no database")
    with pytest.raises(ValueError, match=r"collector\.place_file"):
        find(place_file=str(tmp_path / "bad.mmdb"))


@pytest.mark.skipif(not GEOIP.is_dir(), reason="the test databases are not here")
def test_the_place_file_answers_as_its_makers_say() -> None:
    finder = PlaceFinder(CollectorSettings(place_file=str(GEOIP / "GeoIP2-City-Test.mmdb")))
    answers = json.loads((GEOIP / "GeoIP2-City-Test.json").read_text())
    for entry in answers:
        for network, facts in entry.items():
            country = facts.get("country") or facts.get("registered_country") or {}
            [region, *_] = facts.get("subdivisions") or [{}]
            place = finder.find_place(network.partition("/")[0], {})
            expected = (country.get("iso_code", ""), region.get("iso_code", ""))
            assert (place.country, place.region) == expected, network
    assert len(answers) > 200

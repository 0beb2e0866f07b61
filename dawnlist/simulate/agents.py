"""User agents and networks of browsers and of robots that declare themselves, as in real logs."""

from dataclasses import dataclass

BROWSER_AGENT_COUNT = 64
"""How many user agents customers have between them."""
_SYSTEMS = (
    ("Windows NT 10.0; Win64; x64", "Chrome/{v}.0.0.0 Safari/537.36"),
    ("Macintosh; Intel Mac OS X 10_15_7", "Chrome/{v}.0.0.0 Safari/537.36"),
    ("X11; Linux x86_64", "Chrome/{v}.0.0.0 Safari/537.36"),
    ("Linux; Android 10; K", "Chrome/{v}.0.0.0 Mobile Safari/537.36"),
    ("iPhone; CPU iPhone OS 18_3 like Mac OS X", "Version/18.{m} Mobile/15E148 Safari/604.1"),
    ("Macintosh; Intel Mac OS X 10_15_7", "Version/18.{m} Safari/605.1.15"),
    ("Windows NT 10.0; Win64; x64", "Chrome/{v}.0.0.0 Safari/537.36 Edg/{v}.0.0.0"),
)
"""Operating system and product of WebKit browsers."""


def build_browser_agents() -> list[str]:
    """Build the 64 user agents of ordinary browsers, which differ in system and version."""
    agents = []
    for number in range(BROWSER_AGENT_COUNT):
        release, browser = divmod(number, len(_SYSTEMS) + 1)
        if browser < len(_SYSTEMS):
            agents.append(_build_webkit_browser_agent(browser, release))
        else:
            agents.append(_build_firefox_agent(125 + release))
    return agents


def _build_firefox_agent(version: int) -> str:
    system = "Windows NT 10.0; Win64; x64"
    return f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"


def _build_webkit_browser_agent(browser: int, release: int) -> str:
    system, template = _SYSTEMS[browser]
    engine = "605.1.15" if "Version" in template else "537.36"
    product = template.format(v=124 + release, m=release)
    return f"Mozilla/5.0 ({system}) AppleWebKit/{engine} (KHTML, like Gecko) {product}"


@dataclass(frozen=True)
class Crawler:
    """One robot that declares itself."""

    name: str
    """Its name, for people."""
    traffic: float
    """Its share of the crawlers' events, relative to the others."""
    pause: float
    """The mean seconds between two of its requests."""
    network: str
    """The first address of its /24."""
    agent: str
    """Its user agent."""

    @property
    def first_address(self) -> int:
        """The first address of its network, as a number."""
        address = 0
        for octet in self.network.split("."):
            address = (address << 8) + int(octet)
        return address


def _format_compatible_agent(text: str) -> str:
    return f"Mozilla/5.0 (compatible; {text})"


def _format_webkit_agent(system: str, product: str) -> str:
    return f"Mozilla/5.0 {system}AppleWebKit/537.36 (KHTML, like Gecko{product}"


_NEXUS_SYSTEM = "(Linux; Android 6.0.1; Nexus 5X Build/MMB29P) "
_GOOGLEBOT = "compatible; Googlebot/2.1; +http://www.google.com/bot.html"
_GOOGLEBOT_MOBILE = _format_webkit_agent(
    _NEXUS_SYSTEM, f") Chrome/131.0.6778.69 Mobile Safari/537.36 ({_GOOGLEBOT})"
)
_BINGBOT = _format_webkit_agent(
    "",
    "; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) "
    "Chrome/116.0.1938.76 Safari/537.36",
)
_GPTBOT = _format_webkit_agent("", "; compatible; GPTBot/1.2; +https://openai.com/gptbot)")
_FACEBOOKBOT = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"
_UPTIMEROBOT = "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"
_HEADLESS_CHROME = _format_webkit_agent(
    "(X11; Linux x86_64) ", ") HeadlessChrome/130.0.0.0 Safari/537.36"
)
HOSTILE_AGENT = "curl/7.88.1 <script>alert('agent')</script>"
"""A user agent that attacks pages which show it without escaping."""

SIMULATED_CRAWLERS = (
    Crawler("Googlebot", 10, 9, "66.249.66.0", f"Mozilla/5.0 ({_GOOGLEBOT})"),
    Crawler("Googlebot smartphone", 8, 11, "66.249.79.0", _GOOGLEBOT_MOBILE),
    Crawler("bingbot", 6, 14, "157.55.39.0", _BINGBOT),
    Crawler(
        "AhrefsBot",
        5,
        4,
        "54.36.148.0",
        _format_compatible_agent("AhrefsBot/7.0; +http://ahrefs.com/robot/"),
    ),
    Crawler(
        "SemrushBot",
        4,
        5,
        "185.191.171.0",
        _format_compatible_agent("SemrushBot/7~bl; +http://www.semrush.com/bot.html"),
    ),
    Crawler("GPTBot", 4, 2, "20.171.206.0", _GPTBOT),
    Crawler(
        "YandexBot",
        2,
        12,
        "5.255.253.0",
        _format_compatible_agent("YandexBot/3.0; +http://yandex.com/bots"),
    ),
    Crawler("facebookexternalhit", 2, 40, "173.252.95.0", _FACEBOOKBOT),
    Crawler("UptimeRobot", 1, 300, "63.143.42.0", _UPTIMEROBOT),
    Crawler("python-requests", 3, 1, "3.91.17.0", "python-requests/2.32.3"),
    Crawler("curl", 1, 3, "95.216.12.0", "curl/8.5.0"),
    Crawler("Scrapy", 2, 0.5, "138.201.44.0", "Scrapy/2.11.2 (+https://scrapy.org)"),
    Crawler("Go-http-client", 1, 2, "34.77.162.0", "Go-http-client/2.0"),
    Crawler("HeadlessChrome", 1, 3, "51.15.20.0", _HEADLESS_CHROME),
    Crawler("hostile", 0.5, 20, "185.220.101.0", HOSTILE_AGENT),
)
SIMULATED_AGENTS = build_browser_agents() + [crawler.agent for crawler in SIMULATED_CRAWLERS]
"""All user agents, those of browsers first; events name them by their position in this list."""

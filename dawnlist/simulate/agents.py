"""User agents and address ranges of browsers and declared robots, as they stand in real logs."""

from dataclasses import dataclass

BROWSER_AGENT_COUNT = 64  # customers draw one of these


def build_browser_agents() -> list[str]:
    """64 agents of ordinary browsers: system and version differ."""
    systems = (
        ("Windows NT 10.0; Win64; x64", "Chrome/{v}.0.0.0 Safari/537.36"),
        ("Macintosh; Intel Mac OS X 10_15_7", "Chrome/{v}.0.0.0 Safari/537.36"),
        ("X11; Linux x86_64", "Chrome/{v}.0.0.0 Safari/537.36"),
        ("Linux; Android 10; K", "Chrome/{v}.0.0.0 Mobile Safari/537.36"),
        ("iPhone; CPU iPhone OS 18_3 like Mac OS X", "Version/18.{m} Mobile/15E148 Safari/604.1"),
        ("Macintosh; Intel Mac OS X 10_15_7", "Version/18.{m} Safari/605.1.15"),
        ("Windows NT 10.0; Win64; x64", "Chrome/{v}.0.0.0 Safari/537.36 Edg/{v}.0.0.0"),
    )
    agents = []
    for number in range(BROWSER_AGENT_COUNT):
        if number % 8 == 7:
            version = 125 + number // 8
            agents.append(
                f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
            )
        else:
            system, tail = systems[number % 8]
            engine = "605.1.15" if "Version" in tail else "537.36"
            product = tail.format(v=124 + number // 8, m=number // 8)
            agents.append(
                f"Mozilla/5.0 ({system}) AppleWebKit/{engine} (KHTML, like Gecko) {product}"
            )
    return agents


@dataclass(frozen=True)
class Crawler:
    """One declared robot."""

    name: str
    traffic: float
    """Relative share of the crawlers' events."""
    pause: float
    """Mean seconds between two requests."""
    network: str
    """The first address of its /24."""
    agent: str

    @property
    def first_address(self) -> int:
        """`network` as a number."""
        a, b, c, d = (int(part) for part in self.network.split("."))
        return (a << 24) + (b << 16) + (c << 8) + d


def _format_compatible_agent(text: str) -> str:
    return f"Mozilla/5.0 (compatible; {text})"


def _format_webkit_agent(system: str, product: str) -> str:
    return f"Mozilla/5.0 {system}AppleWebKit/537.36 (KHTML, like Gecko{product}"


NEXUS_SYSTEM = "(Linux; Android 6.0.1; Nexus 5X Build/MMB29P) "
GOOGLEBOT = "compatible; Googlebot/2.1; +http://www.google.com/bot.html"
GOOGLEBOT_MOBILE = _format_webkit_agent(
    NEXUS_SYSTEM, f") Chrome/131.0.6778.69 Mobile Safari/537.36 ({GOOGLEBOT})"
)
BINGBOT = _format_webkit_agent(
    "",
    "; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36",
)
GPTBOT = _format_webkit_agent("", "; compatible; GPTBot/1.2; +https://openai.com/gptbot)")
FACEBOOKBOT = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"
UPTIMEROBOT = "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)"
HEADLESS_CHROME = _format_webkit_agent(
    "(X11; Linux x86_64) ", ") HeadlessChrome/130.0.0.0 Safari/537.36"
)
HOSTILE_AGENT = "curl/7.88.1 <script>alert('agent')</script>"

SIMULATED_CRAWLERS = (
    Crawler("Googlebot", 10, 9, "66.249.66.0", f"Mozilla/5.0 ({GOOGLEBOT})"),
    Crawler("Googlebot smartphone", 8, 11, "66.249.79.0", GOOGLEBOT_MOBILE),
    Crawler("bingbot", 6, 14, "157.55.39.0", BINGBOT),
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
    Crawler("GPTBot", 4, 2, "20.171.206.0", GPTBOT),
    Crawler(
        "YandexBot",
        2,
        12,
        "5.255.253.0",
        _format_compatible_agent("YandexBot/3.0; +http://yandex.com/bots"),
    ),
    Crawler("facebookexternalhit", 2, 40, "173.252.95.0", FACEBOOKBOT),
    Crawler("UptimeRobot", 1, 300, "63.143.42.0", UPTIMEROBOT),
    Crawler("python-requests", 3, 1, "3.91.17.0", "python-requests/2.32.3"),
    Crawler("curl", 1, 3, "95.216.12.0", "curl/8.5.0"),
    Crawler("Scrapy", 2, 0.5, "138.201.44.0", "Scrapy/2.11.2 (+https://scrapy.org)"),
    Crawler("Go-http-client", 1, 2, "34.77.162.0", "Go-http-client/2.0"),
    Crawler("HeadlessChrome", 1, 3, "51.15.20.0", HEADLESS_CHROME),
    Crawler("hostile", 0.5, 20, "185.220.101.0", HOSTILE_AGENT),
)
SIMULATED_AGENTS = [*build_browser_agents(), *(crawler.agent for crawler in SIMULATED_CRAWLERS)]

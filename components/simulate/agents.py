"""User agents and address ranges of browsers and declared robots, as they stand in real logs."""

from dataclasses import dataclass

BROWSER_AGENTS = 64  # customers draw one of these


def browser_agents() -> list[str]:
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
    for number in range(BROWSER_AGENTS):
        if number % 8 == 7:
            version = 125 + number // 8
            agents.append(
                f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
            )
        else:
            system, tail = systems[number % 8]
            engine = "605.1.15" if "Version" in tail else "537.36"
            product = tail.format(v=124 + number // 8, m=number // 8)
            agents.append(f"Mozilla/5.0 ({system}) AppleWebKit/{engine} (KHTML, like Gecko) {product}")
    return agents


@dataclass(frozen=True)
class Crawler:
    """One declared robot."""

    name: str
    agent: str
    traffic: float
    """Relative share of the crawlers' events."""
    pause: float
    """Mean seconds between two requests."""
    network: int
    """First address (IPv4 as a number) of its /24."""


def ipv4(text: str) -> int:
    """'66.249.66.0' as a number."""
    a, b, c, d = (int(part) for part in text.split("."))
    return (a << 24) + (b << 16) + (c << 8) + d


CRAWLERS = (
    Crawler("Googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 10, 9, ipv4("66.249.66.0")),
    Crawler(
        "Googlebot smartphone",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/131.0.6778.69 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        8, 11, ipv4("66.249.79.0"),
    ),
    Crawler(
        "bingbot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) "
        "Chrome/116.0.1938.76 Safari/537.36",
        6, 14, ipv4("157.55.39.0"),
    ),
    Crawler("AhrefsBot", "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", 5, 4, ipv4("54.36.148.0")),
    Crawler("SemrushBot", "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)", 4, 5, ipv4("185.191.171.0")),
    Crawler(
        "GPTBot",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        4, 2, ipv4("20.171.206.0"),
    ),
    Crawler("YandexBot", "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)", 2, 12, ipv4("5.255.253.0")),
    Crawler(
        "facebookexternalhit", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", 2, 40, ipv4("173.252.95.0")
    ),
    Crawler(
        "UptimeRobot", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", 1, 300, ipv4("63.143.42.0")
    ),
    Crawler("python-requests", "python-requests/2.32.3", 3, 1, ipv4("3.91.17.0")),
    Crawler("curl", "curl/8.5.0", 1, 3, ipv4("95.216.12.0")),
    Crawler("Scrapy", "Scrapy/2.11.2 (+https://scrapy.org)", 2, 0.5, ipv4("138.201.44.0")),
    Crawler("Go-http-client", "Go-http-client/2.0", 1, 2, ipv4("34.77.162.0")),
    Crawler(
        "HeadlessChrome",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0.0.0 Safari/537.36",
        1, 3, ipv4("51.15.20.0"),
    ),
    Crawler("hostile", "curl/7.88.1 <script>alert('agent')</script>", 0.5, 20, ipv4("185.220.101.0")),
)  # fmt: skip
AGENTS = [*browser_agents(), *(crawler.agent for crawler in CRAWLERS)]

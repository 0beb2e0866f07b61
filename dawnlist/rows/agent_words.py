"""List the general words by which programs name themselves in user agents, and people's names.

The texts are regular expressions in RE2's syntax, in any case. A word is in the lists when it occurs
in programs' agents of public lists and in nearly none of people's; docs/BOTS.md has the figures, and
benchmarks/agents.py prints them.
"""

from typing import Final

PEOPLE_TEXTS: Final = (
    # Where an Android agent names its device, a word is part of a model's name: CUBOT, ID bot.
    r"\bandroid [\d.]+; ?(?:[a-z]{2}[-_][a-z]{2}; ?)?[^;()]{0,60}(?: build[/ ][^;)]*)?[;)]",
    r"\bcubot\b",
    r"\bhtc[ _]butterfly\w*",
    r"\bmaui runtime\b",
    # Sogou's browser for phones. Its crawlers are spiders by name.
    r"\bsogou(?:mse|mobilebrowser|search|sdk)[,/\d.]*",
    # Programs in which people read pages, and what they add to a browser's agent.
    r"\bblackboard/[\d.]+",
    r"\bnetnewswire/[\w.]+",
    r"\bqqdownload [\d.]+",
    r"\bsafari(?:%20| )technology(?:%20| )preview",
    r"\bsafari/[\d.]+ viber\S*$",
    # Lynx and consoles name the library by which they read.
    r"\blibwww-fm/\S+",
    r"\blibhttp/[\d.]+ \(ps",
    # Browsers for people that carry the address of their maker.
    r"https?://(?:www\.)?(?:bsalsa|qtweb|avantbrowser|orcabrowser)\.(?:com|net)",
)
"""What is taken out of an agent before its words are searched: it belongs to people."""

CRAWLER_WORDS: Final = (
    # Kinds of programs.
    r"b[o0]ts?(?:[^a-z]|$)|robot",
    r"crawl",
    r"spider",
    r"scrap(?:e|y|ing)",
    r"slurp",
    r"harvest",
    r"archiv(?:e|ing)",
    r"fetch",
    r"index(?:er|ing)",
    r"search[ -]?(?:engine|agent)|^[\w-]*search\b",
    r"scan\b|scann(?:er|ing)",
    r"check(?:er|ing|s)?\b|check[_-]",
    r"validat(?:or|ion)|verif(?:ier|ication)",
    r"analy[sz](?:er?|is|ing|tics)",
    r"extract(?:or|ion)",
    r"pars(?:er|ing)\b",
    r"collector|collection\b",
    r"\bprobe\b|prober\b|\bprobing\b",
    r"\baudit",
    r"survey",
    r"research",
    r"inspector\b|\binspect\b",
    r"detect(?:or|ion)\b",
    r"resolver\b|tester\b",
    r"[^r\W][ -]agent\b|webhook",
    r"screenshot|thumbnailer|web ?(?:capture|thumb|screenie)|capture\b",
    r"\brank|rank(?:er|ing|check|track)",
    r"\bseo\b|\bseo[a-z]",
    r"transcod",
    r"site[ -]?(?:check|monitor|map|explorer|suck|snag|copy|audit|analy|scan)",
    r"link[ -]?(?:check|expand|valid|sleuth|walk|dex|archiv|extract)",
    r"web[ -]?(?:copier|ripper|stripper|sucker|zip|reaper|mirror|snake|walk|index|download)",
    # Readers of feeds.
    r"\brss\b|\brss[-_ /]|rss[ -]?(?:reader|fetch)",
    r"feed(?:s|er|ly|bin|demon|burner|reader|parser|fetcher|validator)?\b",
    r"aggregator",
    # An address to complain to. No browser of a person has one.
    r"https?:",
    r"\bwww\.",
    r"[\w.-]@[\w-]+\.[a-z]{2}",
    # The name of a site within the agent. In front it may be the name of an app.
    r"[ (;+][\w-]+\.(?:com|net|org|io|ai)(?:[/); ]|$)",
    # Libraries and programs that read by HTTP.
    r"[a-z]http\b|http[-_ ]?(?:client|get|request|url|unit|lib|core|kit|x\b|ie\b)",
    r"httrack|libwww|\blwp\b",
    r"\bpython|\brequests/\d|urllib|aiohttp",
    r"\bperl\b|\bruby\b|mechani[sz]e",
    r"curl|\bwget\b|\baria2\b|\baxios\b|reqwest|\bureq\b|postman|^git/",
    r"^php|\bphp/\d|symfony|cakephp",
    r"^java\b|\bjava/1\.",
    r"^node\b|\bnode[-.](?:fetch|js)|\bnode/\d",
    r"^go[ -]|^got\b",
    r"url[ _-]?(?:check|fetch|resolv|grab|valid|scan|test)",
    r"headless|phantomjs|selenium|playwright|puppeteer|cypress|wkhtmlto",
    r"lighthouse|page ?speed|\bptst[/ ]\d",
    r"\bnikto|\bsqlmap|\bnmap|\bwfuzz|\bsiege/|\bnuclei\b",
)
"""Words of crawlers, scanners and HTTP libraries."""

PREVIEW_WORDS: Final = (
    r"preview",
    r"unfurl",
    r"link[ -]?expand",
    r"externalhit",
    r"monitor",
    r"uptime",
    r"\bping(?:er|dom|s)?\b",
    r"health[ -]?check",
    r"synthetic",
    r"site24x7",
)
"""Words of programs that preview links or watch whether a shop answers."""

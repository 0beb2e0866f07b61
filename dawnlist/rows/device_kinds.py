"""Tell phones, tablets and desktops apart by their user agents."""

import re
from typing import Final

TABLET_AGENTS: Final = r"ipad|tablet|kindle|silk/|playbook"
MOBILE_AGENTS: Final = r"mobi|iphone|ipod|windows phone|opera mini"
DESKTOP_AGENTS: Final = r"windows nt|macintosh|x11|cros "

_TABLET: Final = re.compile(TABLET_AGENTS)
_MOBILE: Final = re.compile(MOBILE_AGENTS)
_DESKTOP: Final = re.compile(DESKTOP_AGENTS)


def classify_device(agent: str) -> str:
    """Return tablet, mobile or desktop; empty where the agent does not tell.

    Google says of its browser: an Android without "Mobile" in its user agent is a tablet.
    """
    lower_agent = agent.lower()
    is_android_tablet = "android" in lower_agent and "mobile" not in lower_agent
    if is_android_tablet or _TABLET.search(lower_agent):
        return "tablet"
    if _MOBILE.search(lower_agent):
        return "mobile"
    if _DESKTOP.search(lower_agent):
        return "desktop"
    return ""

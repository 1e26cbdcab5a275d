"""A person on call who knows nothing but the pages: reads their text, presses their buttons."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_MOST_ROUNDS = 4


@dataclass
class PageText(HTMLParser):
    """What a page shows: its text, its links, the buttons of the deeds that it offers.

    `words` is the text below each heading; `acts` is where its buttons are sent.
    """

    text: list[str] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    deeds: list[str] = field(default_factory=list)
    acts: str = ""
    _heading: str = ""
    _in_heading: bool = False

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._in_heading = tag in {"h1", "h2"}
        if self._in_heading:
            self._heading = ""
        self.links += [str(found["href"])] if tag == "a" and found.get("href") else []
        self.deeds += [str(found["data-plan"])] if "data-plan" in found else []
        self.acts = str(found.get("data-act-on") or self.acts)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"h1", "h2"}:
            self._in_heading = False
        if tag == "section":
            self._heading = ""

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._in_heading:
            self._heading += data
        elif self._heading:
            self.words[self._heading] = self.words.get(self._heading, "") + data


@dataclass
class Reading:
    """What the robot understood of an incident, and what it did."""

    url: str
    cause: str
    safe: str
    next_step: str
    pressed: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    is_over: bool = False


def read(http: Any, url: str) -> PageText:
    """One page, as text."""
    answer = http.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    page = PageText()
    page.feed(answer.text)
    return page


def answer_call(http: Any, root: str = "/tenure") -> list[Reading]:
    """Work through each open incident of the overview, in its order."""
    found = dict.fromkeys(
        link for link in read(http, f"{root}/").links if re.fullmatch(rf"{root}/incident/\d+", link)
    )
    return [_work(http, url) for url in found]


def _work(http: Any, url: str) -> Reading:
    page = read(http, url)
    words = page.words
    mine = Reading(url, words["What happened"], words["Still safe"], words["Next step"])
    for _ in range(_MOST_ROUNDS):
        done = [_press(http, page, deed, mine) for deed in page.deeds]
        if mine.is_over or not any(done):
            break
        page = read(http, url)
        mine.is_over = "open since" not in "".join(page.text)
    return mine


def _press(http: Any, page: PageText, deed: str, mine: Reading) -> bool:
    """The dry run, and the deed where it would change something; whether it was done."""
    if mine.is_over:
        return False
    dry = http.post(f"{page.acts}/plan/{deed}", json={"note": ""})
    if dry.status_code != 200 or not dry.json()["changes"]:
        return False
    mine.sentences.append(dry.json()["sentence"])
    body = {"note": "", "seen": dry.json()["seen"]}
    if http.post(f"{page.acts}/do/{deed}", json=body).status_code != 200:
        return False
    mine.pressed.append(deed)
    mine.is_over = "open since" not in "".join(read(http, mine.url).text)
    return True

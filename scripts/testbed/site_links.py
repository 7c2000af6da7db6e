"""Hook of the documentation's site: what a link beyond the pages becomes.

In the sources pages link to files of the repository, which the site has not. Such a link must lead to something that
exists, and becomes its text with the path beside it; anything else is left to the site's own strict check.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

_ROOT = Path(__file__).resolve().parents[2]
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_REMARK = re.compile(r"\A<!--.*?-->\n", re.DOTALL)
"""Before the title of a translated page, which would not be found behind it."""
_log = logging.getLogger("mkdocs.hooks.site_links")


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Called by MkDocs for every page."""
    docs = Path(config.docs_dir).resolve()
    folder = (docs / page.file.src_uri).parent

    def replaced(match: re.Match[str]) -> str:
        target = unquote(match["target"].partition("#")[0])
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = (folder / target).resolve()
        if path.is_relative_to(docs):
            return match[0]
        if not path.exists():
            _log.warning("%s links to %s, which does not exist", page.file.src_uri, match["target"])
            return match[0]
        text = match["text"]
        shown = path.relative_to(_ROOT).as_posix()
        return text if shown in text else f"{text} (`{shown}`)"

    # Code shows links as it likes; a link whose text is code is one all the same.
    text = _REMARK.sub("", markdown, count=1)
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(replaced, part) for part in parts)

"""Follow every link within a built site: ``python docs/check_links.py build/docs``; nothing is fetched."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["broken_links"]


class Page(HTMLParser):
    """Places of a page, and the links and pictures on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = {"", "top"}
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what may be linked to, and what is."""
        found = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := found.get(name))}
        self.targets += [value for name in ("href", "src") if (value := found.get(name))]


def broken_links(site: Path) -> list[str]:
    """Return links that lead to no file, or to no place in it; of those to elsewhere, those that are not https."""
    pages = {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html") if "_static" not in path.parts}
    broken = []
    for path, page in pages.items():
        for target in page.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                good = url.scheme in ("https", "mailto", "data") or url.netloc == "localhost"
            else:
                other = (path.parent / unquote(url.path)).resolve() if url.path else path
                good = other.is_file() and (other not in pages or unquote(url.fragment) in pages[other].places)
            if not good:
                broken.append(f"{path.relative_to(site.resolve())}: {target}")
    return broken


if __name__ == "__main__":
    found = broken_links(Path(sys.argv[1]))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))

"""What is done to the finished pages, so that they show early and nothing moves or is torn apart."""

import re

from course.publish.pages import size

# the theme's colours and borders depend on light or dark, which its own script would say only at the end
THEME_NOW = (
    "if (document.documentElement.dataset.theme === 'auto') document.documentElement.dataset.theme = "
    "matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';\n  "
)
# a formula of the text and the comma behind it: browsers would begin a line with the comma
FORMULA = re.compile(r'([(\[“]?<math (?:(?!</math>|display="block").)*</math>[^\s<]+)', re.DOTALL)
SHEET = re.compile(
    r'<link (?=[^>]*rel="stylesheet")[^>]*href="(?P<up>(?:\.\./)*)_static/(?P<name>[^"?]+)[^>]*>\s*'
)
ICON = re.compile(r"\.fa-[\w-]+(?:,\.fa-[\w-]+)*\{--fa:[^}]*\}")  # two thousand, of which a dozen is drawn
ALL = "styles/all.css"  # beside the theme's own, whose addresses of fonts are relative


def finish(folder):
    """Finish the HTML pages below a folder: one file of styles, scripts that wait, pictures with a size."""
    sheets, static = [], folder / "_static"
    drawn = set(icons((static / "scripts" / "pydata-sphinx-theme.js").read_text(encoding="utf-8")))
    for path in sorted(folder.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        sheets += [found["name"] for found in SHEET.finditer(text) if found["name"] not in sheets]
        drawn |= set(icons(text))
        path.write_text(finished(text, folder, search=path.name == "search.html"), encoding="utf-8")
    sheet = ICON.sub(
        lambda found: found[0] if drawn & set(icons(found[0])) else "", one_sheet(static, sheets)
    )
    (static / ALL).write_text(sheet, encoding="utf-8")


def icons(text):
    return re.findall(r"\bfa-[\w-]+", text)


def finished(text, folder, search):
    """A finished page. search: whether it needs the index of all words."""

    def sized(found):
        wide, high = size((folder / "_images" / found[2]).read_bytes())
        return f'{found[1]}{found[2]}" width="{wide}" height="{high}"'

    if first := SHEET.search(text):
        one = f'<link rel="stylesheet" href="{first["up"]}_static/{ALL}" />\n'
        text = text[: first.start()] + one + SHEET.sub("", text[first.start() :])
    if not search:
        text = re.sub(
            r'<script src="[^"]*(searchtools|language_data|searchindex)\.js"></script>\s*', "", text
        )
    text = re.sub(
        r'(<script data-cfasync="false">.*?)(?=</script>)', rf"\1{THEME_NOW}", text, count=1, flags=re.S
    )
    # only the options of the pages are needed at once, so they stand in each
    options = (folder / "_static" / "documentation_options.js").read_text(encoding="utf-8")
    text = re.sub(r'<script src="[^"]*documentation_options[^>]*>', lambda _: f"<script>{options}", text)
    text = text.replace('<script src="', '<script defer src="')
    text = re.sub(r'(src="(?:\.\./)*_images/)([^"/]+\.png)"', sized, text)
    start, image, rest = text.partition("<img ")  # the first picture is what a reader waits for
    rest = re.sub(r"<img (?![^>]*loading=)", '<img loading="lazy" ', rest)
    text = f'{start}{image}fetchpriority="high" {rest}' if image else text
    text = re.sub(r"</math></span>([^\s<]+)", r"</math>\1</span>", text)  # one that scrolls takes it along
    return FORMULA.sub(r'<span class="formula-end">\1</span>', text)


def one_sheet(folder, names):
    """The text of style sheets in one, with what they import in its place."""

    def text_of(name):
        text = (folder / name).read_text(encoding="utf-8").replace('@charset "UTF-8";', "")
        return re.sub(
            r'@import "([^"]+)";', lambda found: text_of(f"{name.rpartition('/')[0]}/{found[1]}"), text
        )

    return "\n".join(map(text_of, names))

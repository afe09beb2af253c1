"""Sphinx's settings for the course's website; course.publish.site writes the pages beside a copy of this."""

project = "Open the black box"
author = "the course's authors"
copyright = "the course's authors; text CC BY 4.0, code BSD 3-Clause"
extensions = ["myst_nb", "course.publish.mathml"]
html_math_renderer = "mathml"
exclude_patterns = []
nb_execution_mode = "off"  # the committed outputs are the course
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "attrs_block", "deflist"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "misc.highlighting_failure"]
language = "en"
html_theme = "pydata_sphinx_theme"
html_title = project
html_favicon = "icon.svg"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_copy_source = False
html_use_index = False
html_show_sourcelink = False
html_show_search_summary = False  # summaries are fetched, which no browser does in a plain folder
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_nav_level": 1,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

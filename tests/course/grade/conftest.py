"""The order of the tests that grade whole lessons: lesson by lesson, so that each lesson's cells run once."""

BY_LESSON = ("test_grade_course.py", "test_forms.py")


def pytest_collection_modifyitems(items):
    """Sort the tests of these files by their notebook's number, in the places that they have together."""
    for name in BY_LESSON:
        places = [place for place, item in enumerate(items) if item.path.name == name]
        tests = sorted((items[place] for place in places), key=lesson)
        for place, test in zip(places, tests, strict=True):
            items[place] = test


def lesson(item):
    """The number of the notebook that a test is about, "" for the others; sorting keeps their order."""
    return item.callspec.params.get("number", "") if hasattr(item, "callspec") else ""

"""Every example of the README and the documentation does what the page says."""

from pathlib import Path

import pytest

from tests.docs.examples import DOCS, EXECUTED, ROOT, SHOWN, examples, pages, steps
from tests.docs.story import Project

MOST_NOT_RUN = 6

QUICKSTART = DOCS / "quickstart.md"
README = ROOT / "README.md"


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def others() -> list[Path]:
    """The pages that go on from the quickstart and have something to execute."""
    return [
        page
        for page in pages()
        if page not in (README, QUICKSTART)
        and any(each.language in EXECUTED for each in examples(page))
    ]


@pytest.mark.process
def test_the_quickstart_leads_from_nothing_to_a_run(shop: Project) -> None:
    assert (shop.folder / "shop/jobs.py").exists()


@pytest.mark.process
def test_the_readme_works_in_a_project_of_ones_own(empty: Project, tmp_path: Path) -> None:
    empty.copy(tmp_path).follow(steps(README))


@pytest.mark.process
@pytest.mark.parametrize("page", others(), ids=name)
def test_a_page_works_after_the_quickstart(shop: Project, page: Path, tmp_path: Path) -> None:
    shop.copy(tmp_path).follow(steps(page))


def test_few_examples_are_not_executed_and_each_says_why() -> None:
    reasons = {each.place: each.reason for page in pages() for each in examples(page)}
    left_out = {place: reason for place, reason in reasons.items() if reason}
    assert len(left_out) <= MOST_NOT_RUN, left_out
    assert all(len(reason) > 10 for reason in left_out.values()), left_out


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_block_names_a_known_language(page: Path) -> None:
    unknown = {each.place: each.language for each in examples(page)}
    assert {k: v for k, v in unknown.items() if v not in EXECUTED | SHOWN} == {}

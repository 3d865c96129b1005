"""Check the built distributions: ``python -m release DIST [--final] [--tag TAG] [--only NAME …]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from release.archives import find_sdist_problems, find_wheel_problems
from release.distributions import CORE, find_distributions
from release.environments import install_and_describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from release.distributions import Distribution

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str]) -> int:
    """Run all checks, print the problems and what to do next, and return the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s release --", description=__doc__)
    parser.add_argument("dist", type=Path, help="the folder with the built distributions")
    parser.add_argument("--final", action="store_true", help="fail when a changelog has no date for its version")
    parser.add_argument("--tag", default="", help="the tag that is released: v and the version of the core")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="install only these distributions")
    options = parser.parse_args(arguments)
    distributions = find_distributions(ROOT)
    unknown = sorted(set(options.only) - {each.name for each in distributions})
    if unknown:
        parser.error(
            f"unknown distribution {', '.join(unknown)} (known: {', '.join(each.name for each in distributions)})"
        )
    problems = [*check_versions(distributions, options.tag, is_final=options.final)]
    for problem in check_archives(distributions, options.dist.resolve(), options.only):
        problems.append(problem)  # noqa: PERF402  one by one, so that the output shows the progress
    for problem in problems:
        print(f"problem: {problem}")
    print(*describe_next_steps(distributions, problems), sep="\n")
    return 1 if problems else 0


def check_versions(distributions: Sequence[Distribution], tag: str, *, is_final: bool) -> Iterator[str]:
    """Yield where versions, changelogs and the tag disagree."""
    for each in distributions:
        yield from each.find_changelog_problems()
        if is_final and not each.is_dated:
            yield f"{each.name}: CHANGELOG.md has no date for {each.version}"
    core = distributions[0]
    if tag and tag != f"v{core.version}":
        yield f"the tag is {tag}, but the version of {CORE} is {core.version}"


def check_archives(distributions: Sequence[Distribution], dist: Path, only: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong in the archives, and with their installation."""
    core = distributions[0]
    bills = dist / "sbom"
    bills.mkdir(exist_ok=True)
    built = {path.name for path in dist.iterdir() if path.suffix in {".whl", ".gz"}}
    known = set()
    for each in distributions:
        wheel, sdist = dist / f"{each.stem}-py3-none-any.whl", dist / f"{each.stem}.tar.gz"
        known |= {wheel.name, sdist.name}
        missing = [path.name for path in (wheel, sdist) if path.name not in built]
        if missing:
            yield from (f"{name} was not built" for name in missing)
            continue
        yield from find_wheel_problems(wheel, each, core.version)
        yield from find_sdist_problems(sdist, each)
        if only and each.name not in only:
            continue
        core_wheel = dist / f"{core.stem}-py3-none-any.whl"
        for archive, bill in ((wheel, bills / f"{each.stem}.cdx.json"), (sdist, None)):
            print(f"installing {archive.name}", flush=True)
            yield from install_and_describe(archive, each, core_wheel, sbom=bill)
    yield from (f"{name} belongs to no distribution here" for name in sorted(built - known))


def describe_next_steps(distributions: Sequence[Distribution], problems: Sequence[str]) -> Iterator[str]:
    """Yield what a maintainer does next."""
    if problems:
        yield f"{len(problems)} problems: fix them, and run nox -s release again"
        return
    core = distributions[0]
    undated = [each.name for each in distributions if not each.is_dated]
    yield f"{len(distributions)} distributions are in order; bills of materials are in dist/sbom"
    yield "next:"
    if undated:
        yield f"  write today's date into the changelogs of {', '.join(undated)} (## VERSION - YYYY-MM-DD), and commit"
        yield "  run nox -s release -- --final"
    yield "  once for each new distribution: register the repository as a trusted publisher on PyPI (release.yml, pypi)"
    yield f"  git tag --annotate v{core.version} --message 'Release {core.version}' && git push origin v{core.version}"
    yield "  approve the environment pypi in the run of the workflow Release; versions that PyPI has are skipped"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The version is said in one place; the conda recipe asks for what the package asks for."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import chione

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RECIPE = ROOT / "recipe" / "recipe.yaml"
CONDA_NAMES = {"matplotlib": "matplotlib-base"}  # without the parts that open windows


def names_and_bounds(requirements):
    """{'numpy': '>=2.0'}: what stands before and after the first blank or sign."""
    return dict(re.fullmatch(r"([\w-]+)\s*(.*)", text).groups() for text in requirements)


@pytest.fixture(scope="module")
def recipe():
    return yaml.safe_load(RECIPE.read_text(encoding="utf-8"))


def test_the_changelog_begins_with_this_version_below_what_is_not_out_yet():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## (.*)$", changes, re.M)
    assert heads[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", head) for head in heads[1:])
    version, day = heads[1].rstrip(")").split(" (")
    assert version == chione.__version__
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in cited
    assert f"\ndate-released: {day}\n" in cited
    released = [tuple(int(part) for part in head.split(" ")[0].split(".")) for head in heads[1:]]
    assert released == sorted(released, reverse=True)


def test_the_recipe_asks_for_what_the_package_asks_for(recipe):
    project = PROJECT["project"]
    assert recipe["context"]["version"] == chione.__version__
    assert f">={recipe['context']['python_min']}" == project["requires-python"]
    runs = names_and_bounds(recipe["requirements"]["run"])
    assert runs.pop("python") == ">=${{ python_min }}"
    wanted = names_and_bounds(project["dependencies"])
    assert runs == {CONDA_NAMES.get(name, name): bound for name, bound in wanted.items()}
    host = names_and_bounds(recipe["requirements"]["host"])
    builds = names_and_bounds(PROJECT["build-system"]["requires"])
    assert builds.items() <= host.items()
    scripts = [f"{name} = {place}" for name, place in project["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    assert recipe["build"]["noarch"] == "python"
    torch = names_and_bounds(project["optional-dependencies"]["torch"])["torch"]
    assert recipe["requirements"]["run_constraints"] == [f"pytorch {torch}"]


def test_the_recipe_renders():
    rattler_build = pytest.importorskip("rattler_build", reason="needs the extra `release`")
    (variant,) = rattler_build.Stage0Recipe.from_file(str(RECIPE)).render()
    rendered = variant.recipe.to_dict()
    assert rendered["package"] == {"name": "chione", "version": chione.__version__}
    assert rendered["build"]["noarch"] == "python"
    assert "python >=3.11" in rendered["requirements"]["run"]
    assert "${{" not in str(rendered["requirements"])

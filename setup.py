"""Puts configs/, which lies at the top of the repository, into the package as seqlight/configs; all else is in
pyproject.toml, which cannot say this beside packages that are found."""

from setuptools import find_namespace_packages, find_packages, setup

FOLDERS = find_namespace_packages("configs")

setup(
    packages=[
        *find_packages(include=["seqlight*", "seq_modules*", "datamodules*"]),
        "seqlight.configs",
        *(f"seqlight.configs.{folder}" for folder in FOLDERS),
    ],
    package_dir={"seqlight.configs": "configs"},
    package_data={"": ["*.yaml", "*.html"]},
)

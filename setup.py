"""Packages whose folders lie outside ``accelsim/`` in the source tree; everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

DATA = ["arch_configs", "workloads"]

setup(
    packages=find_namespace_packages(include=["accelsim*"]) + [f"accelsim.{name}" for name in DATA],
    package_dir={f"accelsim.{name}": name for name in DATA},
    package_data={
        "": ["*.yaml", "*/*.yaml", "*.csv", "py.typed"],
        "accelsim.report.templates": ["*.html", "*.css", "*.js"],
    },
)

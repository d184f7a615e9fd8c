"""Options of ``faceverify evaluate``, some of them of ``calibrate`` as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from faceverify.choices import Classes
from faceverify.cli.options import Command, fields_as_options

DEFAULT_PATTERN = "{path}"


class Protocol(str, Enum):
    """Evaluation protocol."""

    TENFOLD = "10fold"
    FIXED = "fixed"
    ALL = "all"
    TEMPLATES = "templates"
    RETRIEVAL = "retrieval"
    KNN = "knn"
    LINEAR = "linear"
    FEW_SHOT = "few-shot"
    REPRESENTATION = "representation"
    INVARIANCE = "invariance"
    ZERO_SHOT = "zero-shot"


class ReferenceProtocol(str, Enum):
    """Reference implementation whose results are reproduced."""

    INSIGHTFACE = "insightface"
    FACENET = "facenet"


NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Neither read nor fill the cache.", show_default=False),
]
Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="ROOT",
        help="Where the photos lie; by default beside the list.",
        show_default=False,
    ),
]
Pattern = Annotated[
    str,
    typer.Option(
        "--pattern",
        help="From a listed photo to its file below ROOT, of {path}, {folder}, {file}, {stem}, "
        "{suffix}, {identity}.",
    ),
]
Kind = Annotated[
    str | None,
    typer.Option("--kind", help="Kind of list, instead of by its content.", show_default=False),
]
OneModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A model file, or the name of an installed one.  [default: default]",
        metavar="MODEL",
        show_default=False,
    ),
]
Replicates = Annotated[
    int,
    typer.Option(
        "--replicates", help="Of the bootstrap over identities; 0: none.", min=0, max=100_000
    ),
]
Source = Annotated[
    Path,
    typer.Argument(
        metavar="LIST",
        help="A pair list, a .bin pack, a list of photos with people or classes, or a folder "
        "with a folder a person.",
    ),
]
ProtocolName = Annotated[
    Protocol | None,
    typer.Option(
        "--protocol",
        help="10fold: threshold of a fold chosen on the others. fixed: the model's own. "
        "all: every photo against every other. templates: IJB. retrieval: Recall@k, mAP, NMI. "
        "knn: by votes of the nearest photos. linear: a classifier on embeddings. few-shot: "
        "people told apart after a few photos. representation: how embeddings are spread. "
        "invariance: how far they move with occlusion, viewpoint, light, resolution. "
        "zero-shot: the label whose sentences are nearest, see --prompts. "
        "By default 10fold; all for a folder; templates with --media.",
        show_default=False,
    ),
]
ClassesKept = Annotated[
    Classes,
    typer.Option(
        "--classes",
        help="Of people or classes, sorted; last-half: what metric learning tests on (CUB, Cars).",
    ),
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        "--compare",
        metavar="MODEL",
        help="Measure this model too and test the difference; may be repeated.",
        show_default=False,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="MODEL",
        help="representation: compare the layers with those of this model (linear CKA).",
        show_default=False,
    ),
]
Embeddings = Annotated[
    Path | None,
    typer.Option(
        "--embeddings",
        metavar="FILE",
        help="Ready embeddings, of `faceverify embed`, instead of photos.",
        show_default=False,
    ),
]
Fmr = Annotated[
    float, typer.Option("--fmr", help="Use the model's threshold for this FMR.", min=0, max=1)
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", help="A distance instead of --fmr.", min=0, max=2, show_default=False
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="FILE|COLUMN",
        help="Rates by group: a file of lines of NAME, tab, GROUP, or a column of the list.",
        show_default=False,
    ),
]
Reference = Annotated[
    ReferenceProtocol | None,
    typer.Option(
        "--compat",
        help="Also the results of these scripts, digit for digit.",
        show_default=False,
    ),
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help="For zero-shot: sentences for each label, as TOML, CSV or lines LABEL: SENTENCE. "
        "LIST is a folder with a folder a label, or a CSV of photo,label.",
        show_default=False,
    ),
]
Robustness = Annotated[
    bool,
    typer.Option(
        "--robustness",
        help="Instead: how the model fails on degraded photos (blocks, blur, noise, masks, "
        "turned, ...), each from mild to hopeless; a few photos of 160 people.",
        show_default=False,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Write a report: report.html, figures.json, and the plots as SVG.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class TemplateFiles:
    """Files of an IJB benchmark: which photos are pooled into templates, and which are searched."""

    media: Path | None = None
    points: Path | None = None
    gallery: list[Path] | None = None
    probes: Path | None = None


TEMPLATE_OPTIONS: dict[str, Any] = {  # by their names in TemplateFiles
    "media": Annotated[
        Path | None,
        typer.Option(
            "--media",
            metavar="FILE",
            help="IJB: lines PHOTO TEMPLATE MEDIA (face_tid_mid).",
            show_default=False,
        ),
    ],
    "points": Annotated[
        Path | None,
        typer.Option(
            "--points",
            metavar="FILE",
            help="IJB: lines with detector scores (name_5pts_score), to weigh photos.",
            show_default=False,
        ),
    ],
    "gallery": Annotated[
        list[Path] | None,
        typer.Option(
            "--gallery",
            metavar="FILE",
            help="IJB 1:N: a CSV of TEMPLATE_ID,SUBJECT_ID; may be repeated.",
            show_default=False,
        ),
    ],
    "probes": Annotated[
        Path | None,
        typer.Option(
            "--probes", metavar="FILE", help="IJB 1:N: likewise, the probes.", show_default=False
        ),
    ],
}


def template_options() -> Callable[[Command], Command]:
    """Give a command all of them, in the place of its parameter ``templates``."""
    return fields_as_options("templates", TEMPLATE_OPTIONS)

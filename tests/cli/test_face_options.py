"""Options that several commands share."""

import pytest
import typer
from typer.testing import CliRunner

from faceverify.choices import FaceChoice
from faceverify.cli.options import face_options
from faceverify.faces.options import FaceOptions

DEFAULT = FaceOptions(face=FaceChoice.ONLY, min_quality=0.3)


def parsed(arguments, *names):
    """What a command that takes some of the options is given."""
    given = []

    @face_options(*names)
    def command(photo: str, faces: FaceOptions = DEFAULT, loud: bool = False) -> None:
        given.append((photo, faces, loud))

    app = typer.Typer()
    app.command()(command)
    ran = CliRunner().invoke(app, arguments)
    return given[0] if given else ran.output


def test_what_is_not_given_has_the_commands_own_default():
    assert parsed(["a.jpg"]) == ("a.jpg", DEFAULT, False)
    assert parsed(["a.jpg", "--loud"], "min_face") == ("a.jpg", DEFAULT, True)


def test_what_is_given_arrives_as_one_value():
    arguments = ["--face", "largest", "--min-face", "20", "--min-quality", "0.5"]
    arguments += ["--aligned", "arcface-112", "--augment", "3", "a.jpg"]
    expected = FaceOptions(
        face=FaceChoice.LARGEST, min_face=20, min_quality=0.5, aligned="arcface-112", augment=3
    )
    assert parsed(arguments) == ("a.jpg", expected, False)


def test_a_command_may_take_some_of_them_only():
    assert parsed(["--min-face", "20", "a.jpg"], "min_face")[1].min_face == 20
    refused = parsed(["--augment", "2", "a.jpg"], "min_face")
    assert isinstance(refused, str)
    assert "--augment" in refused


@pytest.mark.parametrize(
    ("option", "value"), [("--min-face", "9"), ("--min-quality", "2"), ("--augment", "101")]
)
def test_limits_are_the_parsers_too(option, value):
    refused = parsed([option, value, "a.jpg"])
    assert isinstance(refused, str)
    assert option in refused

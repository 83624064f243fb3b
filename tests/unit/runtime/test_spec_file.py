from pathlib import Path

import pytest

from pellucid_server.errors import ModelUnavailable
from pellucid_server.runtime.spec_file import MAX_LABELS_BYTES, MAX_YAML_BYTES, read_spec
from pellucid_server.spec import ModelSpec, Resize
from pellucid_server.types import Task


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "model"
    folder.mkdir(parents=True)
    return folder


def spec(folder: Path, yaml: str) -> ModelSpec:
    (folder / "model.yaml").write_text(yaml)
    found = read_spec(folder)
    assert found
    return found


def reason(folder: Path, yaml: str) -> str:
    (folder / "model.yaml").write_text(yaml)
    with pytest.raises(ModelUnavailable) as caught:
        read_spec(folder)
    return caught.value.message


def test_a_whole_description(model: Path) -> None:
    found = spec(
        model,
        """
        task: classification
        labels: [cat, "no", "7"]
        preprocess: {mean: [127, 127, 127], scale: [128], resize: crop, crop_fraction: 0.875}
        decode: {type: softmax}
        aliases: [parent]
        versions: [1, 2]
        default_version: 1
        """,
    )
    assert found.task is Task.CLASSIFICATION
    assert found.labels == ("cat", "no", "7")
    assert found.preprocess.resize is Resize.CROP
    assert (found.aliases, found.versions, found.default_version) == (("parent",), (1, 2), 1)


def test_no_file_is_no_description(model: Path) -> None:
    assert read_spec(model) is None


def test_an_empty_file_is_an_empty_description(model: Path) -> None:
    assert spec(model, "# nothing yet\n") == ModelSpec()


@pytest.mark.parametrize("name", ["labels.txt", "./labels.txt", "sub/labels.txt"])
def test_labels_come_from_a_file_beside_it(model: Path, name: str) -> None:
    """One a line; a byte order mark, Windows' line ends and blanks at the end do no harm."""
    path = model / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes("\ufeffcat\r\nguinea pig\r\nécureuil\r\n\r\n".encode())
    assert spec(model, f"labels: {name}").labels == ("cat", "guinea pig", "écureuil")


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/hostname", "link.txt", "folder/secret.txt"]
)
def test_labels_do_not_lead_out_of_the_folder(model: Path, name: str) -> None:
    (model.parent / "secret.txt").write_text("secret")
    (model / "link.txt").symlink_to(model.parent / "secret.txt")
    (model / "folder").symlink_to(model.parent)
    assert "leads out of the model's folder" in reason(model, f"labels: {name}")


def test_a_link_out_of_the_repository_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text("task: raw")
    (model / "model.yaml").symlink_to(tmp_path / "outside.yaml")
    with pytest.raises(ModelUnavailable, match="link out of the model repository"):
        read_spec(model)


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("tsk: raw", "tsk: unknown key. Did you mean 'task'?"),
        ("preprocess: {resise: crop}", "preprocess.resise: unknown key. Did you mean 'resize'?"),
        ("task: classificaton", "task: should be 'classification', 'detection'"),
        ("preprocess: {resize: squash}", "preprocess.resize: should be 'stretch', 'crop'"),
        ("preprocess: {mean: [.nan]}", "preprocess.mean.0: should be a finite number"),
        ("preprocess: {scale: [0]}", "preprocess.scale.0: should be greater than 0"),
        ("preprocess: {scale: []}", "preprocess.scale: tuple should have at least 1 item"),
        ("preprocess: {size: [0, 4]}", "preprocess.size.0: should be greater than 0 (it is 0)"),
        ("labels: [cat, no, 7]", "labels.1: is not text: put it in quotes (it is False)"),
        ("labels: missing.txt", "labels: there is no file 'missing.txt' beside it"),
        ("labels: 3", "labels: should be a valid tuple"),
        ("aliases: [../up]", "aliases.0: string should match pattern"),
        ("versions: [1]\ndefault_version: 2", "default_version 2 is not one of versions [1]"),
        ("task: raw\ntask: detection", "line 2, column 1: the key 'task' stands twice"),
        ("[a, b]", "not a mapping of keys to values"),
        ("1: 2", "not a mapping of keys to values"),
        ("a: [1, 2", "line 1, column 9"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: &x [1]\nb: *x", "anchors and aliases are not accepted"),
        ("a: 2026-99-99", "month must be in 1..12"),
        ("a: \x07", "not YAML"),
        ("[" * 50_000, "nested too deeply"),
        ("a: " + "x" * MAX_YAML_BYTES, "larger than 262144 bytes"),
    ],
)
def test_what_is_wrong_is_said_readably(model: Path, yaml: str, expected: str) -> None:
    message = reason(model, yaml)
    assert message.startswith("model.yaml")
    assert expected.lower() in message.lower()


def test_every_wrong_key_is_named_at_once(model: Path) -> None:
    message = reason(model, "tsk: raw\npreprocess: {color: PINK}")
    assert "tsk: unknown" in message
    assert "preprocess.color" in message


def test_text_that_is_not_utf8_is_refused(model: Path) -> None:
    (model / "model.yaml").write_bytes(b"description: \xff\xfe")
    with pytest.raises(ModelUnavailable, match="byte 13 is not UTF-8"):
        read_spec(model)


def test_a_large_labels_file_is_refused(model: Path) -> None:
    (model / "labels.txt").write_bytes(b"a\n" * (MAX_LABELS_BYTES // 2 + 1))
    assert "labels.txt: larger than" in reason(model, "labels: labels.txt")

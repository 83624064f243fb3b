"""Which format a data set has."""

from pellucid_server.errors import InvalidInput
from pellucid_server.evaluate.files import FIELD, Files
from pellucid_server.evaluate.formats.base import FORMATS, AnyFormat
from pellucid_server.evaluate.formats.common.listing import shown
from pellucid_server.nearest import nearest
from pellucid_server.types import Task

NAME = "dataset_format"


def find_format(files: Files, task: Task, name: str = "") -> AnyFormat:
    """The format of that name; no name: the only one that the set has without doubt.

    Raises:
        InvalidInput: there is no such format, it does not serve the task, none or several
            fit, or the set is empty.
    """
    serving = {each.name: each for each in FORMATS.values() if task in each.tasks}
    if name:
        return _named(name, serving, task)
    if not files.folders() and next(files.files(), None) is None:
        raise InvalidInput(f"{files.name} is empty", field=FIELD)
    fitting = [each for each in serving.values() if each.detect(files)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " or ".join(each.name for each in fitting)
        problem = f"{files.name} could be of format {names}: say which in {NAME}"
    else:
        problem = f"the format of {files.name} is not plain: name it in {NAME}"
    raise InvalidInput(
        f"{problem}. At the root there are {shown(files)}. {_choices(serving, task)}", field=NAME
    )


def _named(name: str, serving: dict[str, AnyFormat], task: Task) -> AnyFormat:
    if name in serving:
        return serving[name]
    if name in FORMATS:
        raise InvalidInput(
            f"format {name} does not serve {task}. {_choices(serving, task)}", field=NAME
        )
    raise InvalidInput(f"there is no format {name!r}.{nearest(name, FORMATS)}", field=NAME)


def _choices(serving: dict[str, AnyFormat], task: Task) -> str:
    lines = "; ".join(f"{each.name}: {each.description}" for each in serving.values())
    return f"Formats for {task}: {lines}"

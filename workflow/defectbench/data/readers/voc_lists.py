"""Reader of Pascal VOC's lists of images, ImageSets/Segmentation: a name without suffix in each line."""

from pathlib import PurePosixPath

from defectbench.config.mask_formats import VocLayout
from defectbench.config.split import file_role
from defectbench.data.foreign_text import TextError, read_text
from defectbench.data.names import Names
from defectbench.data.readers.base import LabelFileError, image_ids, relative_path


def read_lists(settings: VocLayout) -> dict[str, str]:
    """Image id -> the list that it is in, relative to the root, of the lists that are named after roles.

    Raises:
        LabelFileError: naming the line, if a list cannot be read, has a name without image, or one that is in a list of
            another role too.
    """
    images = {PurePosixPath(image_id).with_suffix("").as_posix(): image_id for image_id in image_ids(settings)}
    names = Names(images)
    lists: dict[str, str] = {}
    for path in settings.list_files():
        file = relative_path(path, settings)
        if file_role(path.name) is None:
            continue
        for row, line in enumerate(_read_lines(settings, file), start=1):
            # Lists of one class say with a number after the name whether the image has it.
            name = names.find(line) or names.find(line.rpartition(" ")[0])
            if name is None:
                raise LabelFileError(f"{settings.root / file}, row {row}: no image {line!r}{names.hint(line)}")
            first = lists.setdefault(images[name], file)
            if file_role(PurePosixPath(first).name) != file_role(path.name):
                raise LabelFileError(f"{settings.root / file}, row {row}: {line!r} is in {first} too")
    return lists


def _read_lines(settings: VocLayout, file: str) -> list[str]:
    try:
        return [line.strip() for line in read_text(settings.root / file).splitlines() if line.strip()]
    except OSError as error:
        raise LabelFileError(f"{settings.root / file}: cannot be read: {error.strerror}") from None
    except TextError as error:
        raise LabelFileError(f"{settings.root / file}: {error}") from None

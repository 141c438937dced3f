"""One's own images in one folder per class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, get_file_backend
from mmpretrain.datasets.custom import CustomDataset, find_folders, get_samples

from gcp_mm.datasets.class_table import check_classes, read_ground_truth
from gcp_mm.datasets.skip_unreadable import SkipUnreadable
from gcp_mm.datasets.text_list import check_class_names, read_class_names, read_lines
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, why_absent
from gcp_mm.first_process import log, warn
from gcp_mm.images.names import IMAGE_EXTENSIONS, is_image_name, is_system_name, list_image_files
from gcp_mm.registry import DATASETS


@DATASETS.register_module()
class ClassFolder(SkipUnreadable, CustomDataset):
    """``DATA_ROOT/DATA_PREFIX/<class>/<image>``, with labels that a missing folder cannot shift.

    A folder's label is its place in ``classes``. Without ``classes`` the sorted folders are the
    classes, so give them where the folders of training and validation may differ. Images lie
    anywhere below the folder of their class; hidden and system names, and files that are no images,
    are left out, counted and named once. With ``ann_file``, a list of lines ``name index`` or
    ``name class``, the images lie anywhere below ``DATA_ROOT/DATA_PREFIX``.

    Args:
        *args: Passed on to mmpretrain's ``CustomDataset``.
        allow_missing: Accept classes without a folder or without an image. Defaults to False.
        max_unreadable: See :class:`gcp_mm.datasets.skip_unreadable.SkipUnreadable`.
        list_labels: 'index' or 'name' says what the labels of ``ann_file`` are, where a class is
            called by a number that is not its index.
        extensions: Endings of images, lower case.
        classes: Names of the class folders in the order of their labels, or a file with one a line.
        test_mode: Set it for validation and test, so that no image is skipped. Defaults to False.
        **kwargs: Passed on to mmpretrain's ``CustomDataset``.

    Raises:
        UserError: If the folders are not those of the classes.
    """

    def __init__(
        self,
        *args: Any,
        allow_missing: bool = False,
        list_labels: str | None = None,
        extensions: Sequence[str] = IMAGE_EXTENSIONS,
        classes: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.allow_missing, self.list_labels = allow_missing, list_labels
        metainfo = dict(kwargs.pop("metainfo", None) or {})
        names = metainfo.pop("classes", None) if classes is None else classes
        if names is not None:
            metainfo["classes"] = tuple(
                read_class_names(str(names))
                if isinstance(names, (str, Path))
                else check_class_names(names, "classes of the data set")
            )
        super().__init__(*args, extensions=extensions, metainfo=metainfo or None, **kwargs)

    def _class_table(self) -> Mapping[str, int] | None:
        return self.class_to_idx if self.CLASSES else None

    def is_valid_file(self, filename: str) -> bool:
        """Say whether a file is an image by its name."""
        return is_image_name(filename, self.extensions)

    def load_data_list(self) -> list[dict]:
        """Return the path and the label of each image."""
        if not self.ann_file:
            return super().load_data_list()
        lines = read_lines(self.ann_file)
        if not self.with_label:
            names = [line.strip() for line in lines if line.strip()]
            return [{"img_path": path} for path in self._listed(names)]
        table = self._class_table()
        samples = read_ground_truth(self.ann_file, lines, table, self.list_labels)
        if table is not None:
            labels = {label for _, label in samples}
            found = {name for name, index in table.items() if index in labels}
            check_classes(self.ann_file, found, table, self.allow_missing)
        paths = zip(self._listed([name for name, _ in samples]), samples, strict=True)
        return [{"img_path": path, "gt_label": label} for path, (_, label) in paths]

    def _is_local(self) -> bool:
        return isinstance(get_file_backend(self.img_prefix, enable_singleton=True), LocalBackend)

    def _listed(self, names: Sequence[str]) -> list[str]:
        """Return the paths of the images of a list, all of which have to exist for evaluation."""
        join = get_file_backend(self.img_prefix, enable_singleton=True).join_path
        paths = [join(self.img_prefix, name) for name in names]
        if not self._is_local():
            return paths
        if any("\\" in name for name in names):
            paths = self._from_windows(paths)
        if self.test_mode and (missing := [path for path in paths if not Path(path).exists()]):
            raise UserError(
                f"{self.ann_file!r}: {len(missing)} of its {len(paths)} images do not exist: "
                f"{abbreviate(missing)}. Evaluation skips no image: bring them back, or take their "
                "lines out of the list"
            )
        return paths

    def _from_windows(self, paths: Sequence[str]) -> list[str]:
        """Take backslashes as slashes where only that names a file."""
        mended = {
            path: other
            for path in paths
            if (other := path.replace("\\", "/")) != path
            and not Path(path).exists()
            and Path(other).exists()
        }
        if count := sum(path in mended for path in paths):
            log(f"{self.ann_file!r}: took the backslashes of {count} paths as slashes")
        return [mended.get(path, path) for path in paths]

    def _find_samples(self) -> list:
        if not self._is_local():
            return self._find_remote()
        if not Path(self.img_prefix).is_dir():
            raise UserError(
                f"{self.img_prefix!r} {why_absent(self.img_prefix, 'folder')}; name one of images"
            )
        found = list_image_files(self.img_prefix, self.extensions, self.with_label, show=True)
        if self.test_mode and found.dangling:
            raise UserError(
                f"{self.img_prefix!r}: {len(found.dangling)} images are links to nothing: "
                f"{abbreviate(found.dangling)}. Evaluation skips no image, because the result "
                "would be that of other data: mend or remove the links"
            )
        found.left_out.log(self.img_prefix, self.extensions)
        if not self.with_label:
            if not found.files:
                raise UserError(
                    f"{self.img_prefix!r} holds no image ({', '.join(self.extensions)}): set "
                    "data_root and data_prefix of the data set to the folder of the images"
                )
            return found.files
        table = self._table_of(found.folders)
        samples = [(file, table[file.partition("/")[0]]) for file in found.files]
        self._check_empty(found.folders, {file.partition("/")[0] for file in found.files})
        return samples

    def _find_remote(self) -> list:
        """Find the images where only mmengine's file backend can list them."""
        if not self.with_label:
            return super()._find_samples()
        folders = [name for name in find_folders(self.img_prefix)[0] if not is_system_name(name)]
        table = self._table_of(folders)
        chosen = {name: table[name] for name in folders}
        samples, empty = get_samples(self.img_prefix, chosen, self.is_valid_file)
        self._check_empty(folders, set(folders) - empty)
        return samples

    def _table_of(self, folders: Sequence[str]) -> Mapping[str, int]:
        table = self._class_table()
        if table is None:
            table = {name: index for index, name in enumerate(folders)}
            self._metainfo["classes"] = tuple(folders)
        check_classes(self.img_prefix, folders, table, self.allow_missing)
        self.folder_to_idx = {name: table[name] for name in folders}
        return table

    def _check_empty(self, folders: Sequence[str], filled: Collection[str]) -> None:
        empty = sorted(set(folders) - set(filled))
        if not empty:
            return
        message = (
            f"{self.img_prefix!r}: {len(empty)} of {len(folders)} class folders hold no image "
            f"({', '.join(sorted(self.extensions))}): {abbreviate(empty)}"
        )
        if not self.allow_missing or not filled:
            raise UserError(
                f"{message}. Fill them, or set allow_missing=True in the data set's config"
            )
        warn(message)

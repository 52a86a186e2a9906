"""Set up a reference method: all-empty, all-full, or a top-hat + Otsu threshold tuned on the training images."""

import time

import pandas as pd

from defectbench.config.families.reference import ReferenceSettings
from defectbench.config.identity import ExperimentIdentity
from defectbench.data.packing import ImagePack, MaskPack
from defectbench.families.reference.methods import MAX_TUNING_IMAGES, Constant, to_dict, tune
from defectbench.files import write_json
from defectbench.script import run_script
from defectbench.training.arguments import common_parser
from defectbench.training.run_record import file_facts, images_seen, run_record


@run_script
def main(argv: list[str] | None = None) -> None:
    """Choose the method's settings and write them with the run record."""
    args = common_parser(__doc__).parse_args(argv)

    started = time.perf_counter()
    settings = ReferenceSettings.read(args.settings)
    identity = ExperimentIdentity.read(args.identity)
    images, masks = ImagePack(args.pack), MaskPack(args.pack)
    split = pd.read_csv(args.split, dtype=str)
    train_ids = pd.read_csv(args.subset, dtype=str)["image_id"].tolist()
    if settings.model == "tophat_otsu":
        tuned_on = train_ids[:MAX_TUNING_IMAGES]
        model = tune(images, masks, tuned_on)
        n_labels = len(tuned_on)
    else:
        model = Constant(defect=settings.model == "all_full")
        n_labels = 0
    path = args.folder / "model" / "model.json"
    write_json(path, to_dict(model))
    record = run_record(
        identity,
        settings,
        track="reference",
        prompt_source="none",
        n_labels_train=n_labels,
        zero_shot=n_labels == 0,
        n_labels_val=int((split["role"] == "val").sum()) if n_labels else 0,
        train_seconds=time.perf_counter() - started,
        device="CPU",
        code_digest=args.code_digest,
        data_digest=images.digest,
        **images_seen(train_ids, split.loc[split["role"] == "val", "image_id"]),
        params_total=0,
        params_trainable=0,
        **file_facts(path),
    )
    write_json(args.folder / "run.json", record)
    print(f"{identity.exp_id}: {to_dict(model)}")


if __name__ == "__main__":
    main()

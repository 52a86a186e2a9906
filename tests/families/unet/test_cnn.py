"""The networks of the UNet family: every architecture, pretrained encoders, weights to start from."""

import json
from pathlib import Path
from typing import get_args

import huggingface_hub
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.encoders import encoders

from defectbench.config.families.unet import UNetSettings
from defectbench.config.families.unet_encoders import ENCODERS, UNSUPPORTED, WITHOUT_IMAGENET
from defectbench.families.unet.network import NetworkError, UNet
from defectbench.families.unet.weights import WeightsError, fetch_encoder, load_weights
from defectbench.training.losses import deeply_supervised, make_loss

MODELS = get_args(UNetSettings.model_fields["model"].annotation)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(model="unet", encoder="resnet18", in_channels=1, n_maps=1, seed=0, **keys):
    torch.manual_seed(seed)
    return UNet(UNetSettings(model=model, encoder=encoder), in_channels, n_maps, **keys)


def pictures(channels=1, height=64, width=96):
    return torch.randint(0, 256, (2, channels, height, width), dtype=torch.uint8, generator=torch.manual_seed(3))


def save(network, path):
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def test_names_are_those_of_the_installed_library():
    assert sorted(ENCODERS) == sorted(encoders)
    assert {name for name in encoders if "imagenet" not in encoders[name]["pretrained_settings"]} == WITHOUT_IMAGENET
    assert set(MODELS) - {"dsc_unet"} <= set(smp.MODEL_ARCHITECTURES_MAPPING)


@pytest.mark.parametrize("model", UNSUPPORTED)
def test_what_the_configuration_forbids_the_library_cannot_build(model):
    for kind in UNSUPPORTED[model]:
        encoder = next(name for name in ENCODERS if name.startswith(kind))
        with pytest.raises(ValueError, match="support"), torch.device("meta"):
            smp.create_model(model, encoder, encoder_weights=None)


@pytest.mark.parametrize("n_maps", [1, 3], ids=["merged", "per_class"])
@pytest.mark.parametrize("model", MODELS)
def test_a_training_step_changes_the_network_and_its_file_gives_identical_output(model, n_maps, tmp_path):
    network = build(model, n_maps=n_maps).train()
    images, masks = pictures(), (torch.rand(2, n_maps, 64, 96) < 0.1).float()

    def run():
        torch.manual_seed(4)  # some architectures have dropout
        return network(images)

    outputs = run()
    fresh = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    assert fresh.shape == masks.shape
    # A network starts at the prior probability of a defect.
    assert torch.sigmoid(fresh).mean().item() == pytest.approx(0.05, abs=0.03)

    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    loss = deeply_supervised(make_loss("dice_focal"))
    before = loss(outputs, masks)
    before.backward()
    optimizer.step()
    assert loss(run(), masks) < before

    save(network, tmp_path / "w.safetensors")
    again = build(model, n_maps=n_maps, seed=1)
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    with torch.inference_mode():
        assert torch.equal(again.eval()(images), network.eval()(images))


@pytest.mark.parametrize("size", [(32, 160), (96, 32)])
@pytest.mark.parametrize("model", MODELS)
def test_any_multiple_of_32_will_do(model, size):
    with torch.device("meta"):
        network = build(model, n_maps=2)
        maps = network.eval()(torch.empty(1, 1, *size))
    assert maps.shape == (1, 2, *size)


@pytest.mark.parametrize(
    "encoder", ["efficientnet-b0", "se_resnext50_32x4d", "mobilenet_v2", "tu-mobilenetv3_small_050", "mit_b0"]
)
def test_encoders_of_all_kinds_take_grey_and_colour(encoder):
    for channels in (1, 3):
        network = build("fpn", encoder, channels).eval()
        with torch.inference_mode():
            assert network(pictures(channels, 32, 64)).shape == (2, 1, 32, 64)


def test_an_encoder_that_timm_does_not_have_is_named():
    with pytest.raises(NetworkError, match="tu-resnet19"):
        build(encoder="tu-resnet19")


def test_deep_supervision_adds_outputs_in_training_alone():
    network = build("dsc_unet", n_maps=2)
    images = pictures()
    final, *auxiliary = network.train()(images)
    assert [tuple(output.shape) for output in auxiliary] == [(2, 2, 64, 96)] * 3
    # Its decoder, level by level, computes what the library's does.
    x = (images.float() / 255 - network.mean) / network.std
    features = network.network.encoder(x)
    torch.testing.assert_close(final, network.network.segmentation_head(network.network.decoder(features)))
    # Without a loss on the final output, the auxiliary ones still reach encoder and decoder.
    sum(output.sum() for output in auxiliary).backward()
    assert network.network.encoder.conv1.weight.grad.abs().sum() > 0
    assert network.network.decoder.blocks[3].conv1[0].weight.grad.abs().sum() > 0
    assert isinstance(network.eval()(images), torch.Tensor)


def test_auxiliary_heads_have_no_part_in_a_prediction():
    network = build("dsc_unet").eval()
    with torch.inference_mode():
        before = network(pictures())
        for head in network.network.auxiliary:
            head[0].weight.fill_(7)
        assert torch.equal(network(pictures()), before)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the model hub, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def fill(hub, encoder, digest=None, mean=(0.5, 0.4, 0.3)):
    """Put random weights of the official layout into the cache; give their tensors."""
    source = encoders[encoder]["pretrained_settings"]["imagenet"]
    torch.manual_seed(5)
    values = smp.encoders.get_encoder(encoder).state_dict()
    folder = hub / f"models--{source['repo_id'].replace('/', '--')}"
    snapshot = folder / "snapshots" / source["revision"]
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"mean": mean, "std": (0.2, 0.2, 0.2)}))
    place = snapshot / "model.safetensors"
    if digest:
        place.symlink_to(folder / "blobs" / digest)
        place = folder / "blobs" / digest
        place.parent.mkdir()
    save_file(values, place)
    return values


def test_pretrained_encoders_are_loaded_with_their_normalisation(hub):
    values = fill(hub, "resnet18")
    actual = fetch_encoder("resnet18")
    network = build(in_channels=3, pretrained=actual)
    state = network.network.encoder.state_dict()
    assert all(torch.equal(state[name], value) for name, value in values.items())
    assert network.mean.flatten().tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert len(actual.sha256) == 64


def test_a_cached_encoder_of_timm_needs_no_connection(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # what tries to connect fails the test
    folder = hub / "models--timm--resnet18.a1_in1k"
    snapshot = folder / "snapshots" / ("ab" * 20)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(snapshot.name)
    save_file({"x": torch.zeros(1)}, snapshot / "model.safetensors")
    assert fetch_encoder("tu-resnet18").repository == "timm/resnet18.a1_in1k"


def test_a_grey_image_gives_a_pretrained_encoder_what_a_colourless_one_gives(hub):
    fill(hub, "resnet18", mean=(0.4, 0.4, 0.4))
    grey, colour = (build(in_channels=n, pretrained=fetch_encoder("resnet18")).eval() for n in (1, 3))
    images = pictures()
    with torch.inference_mode():
        a = grey.network.encoder.conv1((images.float() / 255 - grey.mean) / grey.std)
        b = colour.network.encoder.conv1((images.expand(-1, 3, -1, -1).float() / 255 - colour.mean) / colour.std)
    torch.testing.assert_close(a, b)


def test_a_prediction_needs_no_pretrained_weights(hub, tmp_path):
    fill(hub, "resnet18")
    trained = build(pretrained=fetch_encoder("resnet18")).eval()
    save(trained, tmp_path / "w.safetensors")
    again = build(seed=9)
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert torch.equal(again.eval()(pictures()), trained(pictures()))


def test_absent_weights_say_which_file_from_where_and_where_to_put_it(hub):
    with pytest.raises(WeightsError) as error:
        fetch_encoder("resnet34")
    revision = encoders["resnet34"]["pretrained_settings"]["imagenet"]["revision"]
    message = str(error.value)
    assert "model.safetensors of smp-hub/resnet34.imagenet" in message
    assert huggingface_hub.hf_hub_url("smp-hub/resnet34.imagenet", "model.safetensors", revision=revision) in message
    place = Path(message.partition("put the file at ")[2].partition(";")[0])
    place.parent.mkdir(parents=True)
    for name in ("model.safetensors", "config.json"):
        (place.parent / name).write_text(json.dumps({"mean": [0, 0, 0], "std": [1, 1, 1]}))
    assert fetch_encoder("resnet34").mean == (0, 0, 0)


def test_absent_timm_weights_are_reported_too(hub):
    with pytest.raises(WeightsError, match=timm.get_pretrained_cfg("resnet10t").hf_hub_id):
        fetch_encoder("tu-resnet10t")
    with pytest.raises(WeightsError, match="timm has no weights for 'tu-no_such_net'"):
        fetch_encoder("tu-no_such_net")


def test_damaged_weights_are_refused(hub):
    fill(hub, "resnet18", digest="0" * 64)
    with pytest.raises(WeightsError, match=f"not the hub's {'0' * 64}"):
        fetch_encoder("resnet18")


def test_training_starts_from_a_file_of_weights(tmp_path):
    trained, fresh = build(seed=1), build(seed=2)
    save(trained, tmp_path / "w.safetensors")
    load_weights(fresh, tmp_path / "w.safetensors")
    state = fresh.state_dict()
    assert all(torch.equal(state[name], value) for name, value in trained.state_dict().items())


def test_weights_of_another_network_are_named_tensor_by_tensor(tmp_path):
    save(build(n_maps=4), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"2 tensors.*\n.*head\.0\.weight is 4 × 16 × 3 × 3, in the network 1 × 16"):
        load_weights(build(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"auxiliary\.0\.0\.weight is missing"):
        load_weights(build("dsc_unet", n_maps=4), tmp_path / "w.safetensors")


def test_a_file_that_is_no_weights_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not weights")
    for path in (tmp_path / "w.safetensors", tmp_path / "absent.safetensors"):
        with pytest.raises(WeightsError, match=f"init_from: {path} cannot be read as weights"):
            load_weights(build(), path)

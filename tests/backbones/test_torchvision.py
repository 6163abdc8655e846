"""Torch's weights give torch's numbers, layer by layer, and go back to torch."""

import keras
import numpy as np
import pytest
import safetensors.numpy

import swr_keras as swr
from swr_keras.backbones import (
    bcresnet,
    load_torchvision,
    mobilenet_v2,
    resnet,
    resnet50,
    to_torchvision,
)
from swr_keras.backbones.torch_files import read_state_dict

SHAPE = (64, 64, 3)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip(
        "torch", reason='compares with PyTorch: pip install "swr-keras[torch]", a CPU build'
    )


def torch_resnet50(torch):
    """ResNet-50 v1.5 by torchvision's names of modules."""
    nn = torch.nn

    class Bottleneck(nn.Module):
        def __init__(self, taken, width, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(taken, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(4 * width)
            self.downsample = None
            if stride > 1 or taken != 4 * width:
                projection = nn.Conv2d(taken, 4 * width, 1, stride, bias=False)
                self.downsample = nn.Sequential(projection, nn.BatchNorm2d(4 * width))

        def forward(self, x):
            y = torch.relu(self.bn1(self.conv1(x)))
            y = torch.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            for stage, blocks in enumerate((3, 4, 6, 3)):
                width, stride = 64 * 2**stage, 1 if stage == 0 else 2
                first = Bottleneck(64 if stage == 0 else 2 * width, width, stride)
                more = [Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)]
                setattr(self, f"layer{stage + 1}", nn.Sequential(first, *more))
            self.fc = nn.Linear(2048, 1000)

        def forward(self, x):
            x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return ResNet()


@pytest.fixture(scope="module")
def module(torch):
    """It with random weights, and batch norm that is far from the identity."""
    torch.manual_seed(0)
    module = torch_resnet50(torch).eval()
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif "bn" in name or "downsample.1" in name:
                value.copy_(value + 0.2 * torch.randn(value.shape))
    return module


@pytest.fixture(scope="module")
def file(module, torch, tmp_path_factory):
    path = tmp_path_factory.mktemp("torch") / "resnet50.pth"
    torch.save(module.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(2, *SHAPE)).astype("float32")


LAYERS = {
    "conv1": "stem_conv",
    "bn1": "stem_norm",
    "maxpool": "stem_pool",
    "fc": "head",
    **{
        f"layer{stage + 1}.{block}{inner}": f"stage{stage}_block{block}_{layer}"
        for stage, blocks in enumerate((3, 4, 6, 3))
        for block in range(blocks)
        for inner, layer in {
            "": "relu",
            ".conv1": "conv1",
            ".bn1": "norm1",
            ".conv2": "conv2",
            ".bn2": "norm2",
            ".conv3": "conv3",
            ".bn3": "norm3",
            **({".downsample.0": "shortcut_conv"} if block == 0 else {}),
            **({".downsample.1": "shortcut_norm"} if block == 0 else {}),
        }.items()
    },
}
"""Layers of ours by the names of torch's modules."""


def torch_outputs(torch, module, images):
    found = {}

    def keep(name):
        return lambda _, __, output: found.update({name: output.numpy()})

    hooks = [
        child.register_forward_hook(keep(name))
        for name, child in module.named_modules()
        if name in LAYERS
    ]
    with torch.no_grad():
        module(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    for hook in hooks:
        hook.remove()
    return {name: x.transpose(0, 2, 3, 1) if x.ndim == 4 else x for name, x in found.items()}


@pytest.mark.slow
def test_layer_by_layer_and_back(torch, module, file, images):
    model = resnet50(input_shape=SHAPE, weights=file)
    expected = torch_outputs(torch, module, images)
    assert expected.keys() == LAYERS.keys()
    names = list(LAYERS)
    outputs = keras.Model(model.input, [model.get_layer(LAYERS[name]).output for name in names])
    for name, found in zip(names, outputs(images), strict=True):
        error = np.abs(found - expected[name]).max()
        assert error < 1e-4 * np.abs(expected[name]).max(), (name, error)

    weights = to_torchvision(model)
    again = torch_resnet50(torch).eval()
    again.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    for name, value in module.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "int64"])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_are_read(torch, dtype, zipped, tmp_path):
    value = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, dtype))
    state = {"whole": value, "part": value[:, 1:], "turned": value.permute(2, 0, 1)}
    state |= {"parameter": torch.nn.Parameter(value.float()), "scalar": value[0, 0, 1]}
    path = tmp_path / "file.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    found = read_state_dict(path)
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert found[name].dtype.name == str(tensor.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(
            found[name].astype("float32"), tensor.detach().float().numpy()
        )


SMALL = {
    "resnet": lambda **kwargs: resnet(8, 4, **{"num_classes": 5, **kwargs}),
    "mobilenet_v2": lambda **kwargs: mobilenet_v2(
        0.1, **{"num_classes": 5, "input_shape": (32, 32, 3), **kwargs}
    ),
}


@pytest.fixture(scope="module", params=SMALL)
def small(request):
    """A builder, a model of it, and its weights by torch's names."""
    keras.utils.set_random_seed(0)
    build = SMALL[request.param]
    model = build()
    for norm in [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]:
        norm.set_weights([np.random.uniform(0.5, 2, w.shape) for w in norm.get_weights()])
    return build, model, to_torchvision(model)


def saved(folder, weights):
    path = folder / "weights.safetensors"
    path.write_bytes(safetensors.numpy.save(weights))
    return path


def test_to_a_file_and_back(small, tmp_path):
    build, model, weights = small
    assert sum(array.size for array in weights.values()) == model.count_params()
    counted = weights | {"bn1.num_batches_tracked": np.array(3)}
    other = build()
    load_torchvision(other, saved(tmp_path, counted))
    for found, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_head_of_another_size_keeps_its_weights(small, tmp_path):
    build, model, weights = small
    other = build(num_classes=3)
    head = [w.copy() for w in other.get_layer("head").get_weights()]
    load_torchvision(other, saved(tmp_path, weights))
    for found, expected in zip(other.get_layer("head").get_weights(), head, strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(other.get_weights()[:-2], model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(found, expected)


def _without(weights, *names):
    return {name: array for name, array in weights.items() if name not in names}


def head_of(weights):
    return list(weights)[-2:]


MISFITS = {
    "one is missing": (lambda w: _without(w, list(w)[3]), "1 missing: bn1.running_mean"),
    "the head is missing": (lambda w: _without(w, *head_of(w)), "2 missing: .*weight, .*bias"),
    "the bias of the head is missing": (lambda w: _without(w, head_of(w)[1]), "1 missing: .*bias"),
    "one is left over": (lambda w: w | {"layer9.conv1.weight": np.ones(3)}, "left over: layer9"),
    "all are": (lambda w: {f"module.{n}": a for n, a in w.items()}, "missing: .*left over: module"),
    "another shape": (
        lambda w: w | {list(w)[0]: np.ones((7, 3, 3, 3), "float32")},
        r"1 of another shape: .* of \(7, 3, 3, 3\) in the place of",
    ),
    "a head of other features": (
        lambda w: w | {head_of(w)[0]: np.ones((9, 3), "float32"), head_of(w)[1]: np.ones(9)},
        r"2 of another shape: .* of \(9, 3\)",
    ),
    "a head whose bias doesn't fit": (
        lambda w: w | {head_of(w)[1]: np.ones(9, "float32")},
        r"1 of another shape: .*bias of \(9,\)",
    ),
    "NaN": (lambda w: w | {list(w)[1]: np.nan * w[list(w)[1]]}, "1 not finite: .*weight"),
    "whole numbers": (lambda w: w | {list(w)[1]: w[list(w)[1]].astype(int)}, "1 of whole numbers"),
}


@pytest.fixture(scope="module")
def target():
    return SMALL["resnet"]()


@pytest.mark.parametrize("kind", MISFITS)
def test_what_does_not_fit_is_named(target, kind, tmp_path):
    change, message = MISFITS[kind]
    before = target.get_weights()
    path = saved(tmp_path, change(to_torchvision(target)))
    with pytest.raises(ValueError, match=message) as caught:
        load_torchvision(target, path)
    assert "weights.safetensors' doesn't hold the weights of 'resnet8_4'" in str(caught.value)
    assert len(str(caught.value)) < 1500
    for found, expected in zip(target.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: bcresnet(1), "'stage0_block0_expand_conv', a Conv2D"),
        (lambda: swr.reparametrize(resnet(8, 4)), "'stem_conv', a SWRConv2D"),
    ],
)
def test_another_model_is_refused(build, message):
    with pytest.raises(ValueError, match=f"torchvision's weights are those of.*{message}"):
        to_torchvision(build())


def test_a_merged_task_goes_to_torch(small):
    _, model, weights = small
    merged = swr.merge(swr.reparametrize(model))
    found = to_torchvision(merged)
    assert found.keys() == weights.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, weights[name])

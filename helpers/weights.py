"""The stored weights of the course's two networks, as the states of torchvision's layers."""

import torch

from helpers import datasets


def squeezenet1_1():
    """State of squeezenet1_1().features from the Keras file: kernels HWIO to OIHW, first one BGR to RGB."""
    path = datasets.network_weights("squeezenet1_1")
    if path.suffix == ".safetensors":  # the sample's network, in half precision
        from safetensors.torch import load_file

        return {name: tensor.float() for name, tensor in load_file(path).items()}
    import h5py

    layers = {"conv1": "0"}
    for fire, index in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True):
        for part in ("squeeze1x1", "expand1x1", "expand3x3"):
            layers[f"fire{fire}/{part}"] = f"{index}.{part}".replace("squeeze1x1", "squeeze")
    state = {}
    with h5py.File(path, "r") as file:
        for keras, ours in layers.items():
            kernel, bias = (file[keras][name.decode()][()] for name in file[keras].attrs["weight_names"])
            state[f"{ours}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            state[f"{ours}.bias"] = torch.from_numpy(bias)
    return state | {"0.weight": state["0.weight"].flip(1)}


def vgg16():
    """State of vgg16().features: a features-only file of one's own, else torchvision's verified download."""
    path = datasets.network_weights("vgg16")
    if path is None:
        from torchvision.models import VGG16_Weights

        state = VGG16_Weights.IMAGENET1K_FEATURES.get_state_dict(check_hash=True, progress=False)
    elif path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, weights_only=True)
    return {key.removeprefix("features."): value for key, value in state.items()
            if not key.startswith("classifier")}

"""Names of segmentation-models-pytorch: known here so that a configuration is checked without importing torch.

A test compares them with the installed library.
"""

ENCODERS = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x4d"),
    *("resnext101_32x8d", "resnext101_32x16d", "resnext101_32x32d", "resnext101_32x48d"),
    *("dpn68", "dpn68b", "dpn92", "dpn98", "dpn107", "dpn131"),
    *("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
    *("senet154", "se_resnet50", "se_resnet101", "se_resnet152", "se_resnext50_32x4d", "se_resnext101_32x4d"),
    *("densenet121", "densenet169", "densenet201", "densenet161", "inceptionresnetv2", "inceptionv4"),
    *(f"efficientnet-b{i}" for i in range(8)),
    *("mobilenet_v2", "xception"),
    *(f"timm-efficientnet-b{i}" for i in range(9)),
    "timm-efficientnet-l2",
    *(f"timm-tf_efficientnet_lite{i}" for i in range(5)),
    *("timm-skresnet18", "timm-skresnet34", "timm-skresnext50_32x4d"),
    *(f"mit_b{i}" for i in range(6)),
    *(f"mobileone_s{i}" for i in range(5)),
)

# Encoders for which the library has other weights than ImageNet's, or none.
WITHOUT_IMAGENET = frozenset(
    {
        *("resnext101_32x4d", "resnext101_32x16d", "resnext101_32x32d", "resnext101_32x48d"),
        *("dpn68b", "dpn92", "dpn107", "timm-efficientnet-l2"),
    }
)

# Encoders (by the beginning of their names) that an architecture cannot have: DeepLab dilates the last stages, which
# pooling layers forbid; Mix Transformers have no features at half the image's size.
_NO_DILATION = ("vgg", "densenet", "inception", "xception")
UNSUPPORTED = {
    "unetplusplus": ("mit_",),
    "linknet": ("mit_",),
    "deeplabv3": _NO_DILATION,
    "deeplabv3plus": _NO_DILATION,
}

# Copyright 2026 The gsvnet_ros authors. SPDX-License-Identifier: Apache-2.0
"""Where our tensors are in the released checkpoints.

Each table maps our modules to the released ones. What follows the module (``.weight``,
``.running_mean``, ...) is the same on both sides, and so are the names inside ResNet-18.
"""

from collections.abc import Mapping

SWIFTNET_MODULES = {
    "encoder": "backbone",
    "spp.reduce": "backbone.spp.spp.spp_bn",
    **{f"spp.levels.{i}": f"backbone.spp.spp.spp{i}" for i in range(3)},
    "spp.fuse": "backbone.spp.spp.spp_fuse",
    **{f"decoder.{i}.skip": f"backbone.upsample.{i}.bottleneck" for i in range(3)},
    **{f"decoder.{i}.blend": f"backbone.upsample.{i}.blend_conv" for i in range(3)},
    "logits": "logits",
}

BISENET_MODULES = {
    "context": "context_path",
    **{
        f"spatial.{i}.{ours}": f"spatial_path.{layer}.{theirs}"
        for i, layer in enumerate(("conv_7x7", "conv_3x3_1", "conv_3x3_2", "conv_1x1"))
        for ours, theirs in (("conv", "conv"), ("norm", "bn"))
    },
    "global_context.conv": "global_context.1.conv",
    "global_context.norm": "global_context.1.bn",
    **{
        f"attention.{i}.{ours}": f"arms.{i}.{theirs}"
        for i in range(2)
        for ours, theirs in (
            ("reduce.conv", "conv_3x3.conv"),
            ("reduce.norm", "conv_3x3.bn"),
            ("gate.conv", "channel_attention.1.conv"),
            ("gate.norm", "channel_attention.1.bn"),
        )
    },
    **{f"refine.{i}.conv": f"refines.{i}.conv" for i in range(2)},
    **{f"refine.{i}.norm": f"refines.{i}.bn" for i in range(2)},
    "fusion.blend.conv": "ffm.conv_1x1.conv",
    "fusion.blend.norm": "ffm.conv_1x1.bn",
    "fusion.squeeze": "ffm.channel_attention.1.conv",
    "fusion.excite": "ffm.channel_attention.2.conv",
    **{
        f"{head}.{ours}": f"heads.{i}.{theirs}"
        for i, head in enumerate(("auxiliary.0", "auxiliary.1", "head"))
        for ours, theirs in (
            ("blend.conv", "conv_3x3.conv"),
            ("blend.norm", "conv_3x3.bn"),
            ("logits", "conv_1x1"),
        )
    },
}

PROPAGATION_MODULES = {
    **{
        f"flow.{module}.{ours}": f"{released}.{theirs}"
        for module, released in (
            ("stem.0", "conv1"),
            ("stem.1", "conv2"),
            *((f"dilated.{i}", f"conv_dilate_{i + 1}") for i in range(4)),
            ("merge", "conv_merge"),
        )
        for ours, theirs in (("conv", 0), ("norm", 1))
    },
    "flow.head": "toflow",
    "kernels.weight": "ideal_dk.filter_copy_s",
    "intra.body.0.conv": "intra_net.intra_net.0",
    "intra.body.0.norm": "intra_net.intra_net.1",
    "intra.body.1.conv": "intra_net.intra_net.3",
    "intra.body.1.norm": "intra_net.intra_net.4",
    "intra.head": "intra_net.intra_net.6",
    "guide.encoder.0.conv": "guide.guide_conv.0",
    "guide.encoder.0.norm": "guide.guide_conv.1",
    "guide.encoder.1.conv": "guide.guide_conv_feat.0",
    "guide.encoder.1.norm": "guide.guide_conv_feat.1",
    "guide.encoder.2.conv": "guide.guide_conv_feat.3",
    "guide.encoder.2.norm": "guide.guide_conv_feat.4",
    "guide.decoder.0.conv": "guide.guide_deconv.1",
    "guide.decoder.0.norm": "guide.guide_deconv.2",
    "guide.decoder.1.conv": "guide.guide_deconv.5",
    "guide.decoder.1.norm": "guide.guide_deconv.6",
    "guide.head.conv": "guide.guide_decoder.0",
    "guide.head.norm": "guide.guide_decoder.1",
}


def released_name(name: str, modules: Mapping[str, str]) -> str:
    """Translate one of our tensor names.

    Args:
        name: Our name of a tensor.
        modules: One of the tables of this file.

    Returns:
        The released name.

    Raises:
        ValueError: If no entry of the table covers the name.
    """
    for ours, theirs in modules.items():
        if name == ours or name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    raise ValueError(f"name: expected a tensor of the modules {sorted(modules)}, got {name!r}")

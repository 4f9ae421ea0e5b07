"""Weights as the compressed-tensors package itself quantizes them, on the CPU."""
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization.utils import calculate_qparams


def extremes(weight, args):
    """Minimum and maximum of whatever shares a scale."""
    rows, cols = weight.shape
    if args.strategy == "group":
        groups = weight.reshape(rows, cols // args.group_size, args.group_size)
        return groups.amin(-1), groups.amax(-1)
    if args.strategy == "block":
        high, wide = args.block_structure
        blocks = weight.reshape(rows // high, high, cols // wide, wide)
        return blocks.amin((1, 3)), blocks.amax((1, 3))
    return weight.amin(-1, keepdim=True), weight.amax(-1, keepdim=True)


def compress(weight, scheme, form, scale_dtype):
    """Returns the tensors that the package stores, and the weight that it makes of them."""
    args = scheme.weights
    scale, zero = calculate_qparams(*extremes(weight, args), args)
    state = {"weight": weight, "weight_scale": scale.to(scale_dtype), "weight_zero_point": zero}
    compressor = BaseCompressor.get_value_from_registry(form)
    stored = compressor.compress(state, scheme)
    return stored, compressor.decompress(stored, scheme)["weight"]

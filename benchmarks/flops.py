"""Model FLOPs of a training step, and the share of a GPU's peak they use (MFU; Chowdhery et al. 2022, App. B)."""

from dataclasses import dataclass

from benchmarks.inputs import Shape
from limbeck.models import ScratchSettings

# Dense bf16 FLOP/s without sparsity, from NVIDIA's data sheets.
BF16_PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}


@dataclass(frozen=True)
class Decoder:
    """The sizes of a Llama-like decoder: no biases, two norms a layer; `tied` embeddings are its head."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    tied: bool = True

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """A layer's matrices as inputs and outputs: query, key, value, output, gate, up, down."""
        d, f, keys = self.width, self.feed_forward, self.width * self.kv_heads // self.heads
        return (d, d), (d, keys), (d, keys), (d, d), (d, f), (d, f), (f, d)

    @property
    def layer_parameters(self) -> int:
        """The weights of a layer."""
        return sum(a * b for a, b in self.matrices) + 2 * self.width

    @property
    def embedding(self) -> int:
        """The weights of the embedding, as many as the head's."""
        return self.vocabulary * self.width

    @property
    def outer_parameters(self) -> int:
        """The weights outside of the layers: embedding, last norm, a head of its own."""
        return self.width + self.embedding * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        return self.layers * self.layer_parameters + self.outer_parameters

    def adapter(self, rank: int) -> int:
        """Count a layer's LoRA weights, on all of its matrices."""
        return sum(rank * (a + b) for a, b in self.matrices)

    def matrix_flops(self, tokens: int) -> int:
        """Count the forward FLOPs of a layer's matrices, a multiply-add as two."""
        return 2 * tokens * sum(a * b for a, b in self.matrices)

    def attention_flops(self, rows: int, length: int) -> int:
        """Count the forward FLOPs of a layer's attention itself, masked pairs included."""
        return 4 * rows * length**2 * self.width

    def head_flops(self, targets: int) -> int:
        """Count the forward FLOPs of the head."""
        return 2 * targets * self.embedding


def step_flops(model: ScratchSettings, shape: Shape) -> int:
    """FLOPs of the matrix products of forward and backward (twice the forward's), a multiply-add as two.

    That is 6 a weight and position (Kaplan et al. 2020, Sec. 2.1), and 6 times the products of attention itself.
    Counted: projections, attention, feed-forward (gated: three matrices) of encoder and decoder, and the head, at every
    position, padding included. Not counted: softmaxes, norms, biases, the optimiser, whatever is computed again.
    """
    inner = model.num_heads * model.d_kv
    projection = model.d_model * inner  # one of query, key, value, output
    feed_forward = 3 * model.d_model * model.d_ff
    decoder_layers = model.num_decoder_layers or model.num_layers

    # both views' sources
    sources = 2 * shape.batch * shape.source
    encoder = model.num_layers * sources * (4 * projection + feed_forward + 2 * inner * shape.source)

    decoder = 0
    for width in shape.targets().values():
        positions = shape.batch * width
        own = 4 * projection + 2 * inner * width
        cross = 2 * projection + 2 * inner * shape.source
        memory = 2 * projection * shape.batch * shape.source  # keys and values of the encoder's states
        decoder += decoder_layers * (positions * (own + cross + feed_forward) + memory)

    head = shape.batch * (shape.label + shape.rationale) * model.d_model * model.vocab_size
    return 6 * (encoder + decoder + head)


def utilisation(flops: int, seconds: float, device_name: str) -> float | None:
    """The share of the device's bf16 peak; None for a device that is not in the table."""
    peak = next((peak for name, peak in BF16_PEAKS.items() if name in device_name), None)
    return None if peak is None else flops / seconds / peak

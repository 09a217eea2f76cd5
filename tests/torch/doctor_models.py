"""Architectures at small sizes, built from their configurations, with a batch for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import nn
from torch.nn import functional as F

WIDTH, HEADS, LAYERS, VOCABULARY = 256, 4, 2, 4096
Built = tuple[nn.Module, Any]


def tokens(inputs: int = 8, length: int = 16) -> torch.Tensor:
    """Ids without a pattern, the same each time."""
    generator = torch.Generator().manual_seed(3)
    return torch.randint(1, VOCABULARY, (inputs, length), generator=generator)


def images(inputs: int = 8, side: int = 64) -> torch.Tensor:
    """Smooth patterns with noise, centred, of mean square about one."""
    generator = torch.Generator().manual_seed(4)
    coarse = torch.randn(inputs, 3, 8, 8, generator=generator)
    smooth = F.interpolate(coarse, size=(side, side), mode="bilinear")
    return 1.2 * smooth + 0.5 * torch.randn(inputs, 3, side, side, generator=generator)


def gpt2() -> Built:
    config = transformers.GPT2Config(
        n_layer=LAYERS, n_embd=WIDTH, n_head=HEADS, vocab_size=VOCABULARY, n_positions=64,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config), {"input_ids": tokens()}


def _decoder(config: Any, model: Any, **more: Any) -> Built:
    made = config(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2, intermediate_size=2 * WIDTH, vocab_size=VOCABULARY,
        bos_token_id=0, eos_token_id=0, pad_token_id=0, **more,
    )  # fmt: skip
    return model(made), {"input_ids": tokens()}


def llama() -> Built:
    return _decoder(transformers.LlamaConfig, transformers.LlamaForCausalLM)


def mistral() -> Built:
    return _decoder(transformers.MistralConfig, transformers.MistralForCausalLM)


def qwen() -> Built:
    return _decoder(transformers.Qwen3Config, transformers.Qwen3ForCausalLM, head_dim=64)


def gemma() -> Built:
    return _decoder(transformers.GemmaConfig, transformers.GemmaForCausalLM, head_dim=64)


def gemma2() -> Built:
    return _decoder(transformers.Gemma2Config, transformers.Gemma2ForCausalLM, head_dim=64)


def bert() -> Built:
    config = transformers.BertConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH, vocab_size=VOCABULARY,
    )  # fmt: skip
    mask = torch.ones(8, 16, dtype=torch.long)
    mask[1, 12:] = 0
    mask[5, 9:] = 0
    return transformers.BertModel(config), {"input_ids": tokens(), "attention_mask": mask}


def t5() -> Built:
    config = transformers.T5Config(
        d_model=WIDTH, d_kv=64, d_ff=2 * WIDTH, num_layers=LAYERS, num_heads=HEADS,
        vocab_size=VOCABULARY, decoder_start_token_id=0,
    )  # fmt: skip
    batch = {"input_ids": tokens(), "decoder_input_ids": tokens(length=12).flip(0)}
    return transformers.T5ForConditionalGeneration(config), batch


def vit() -> Built:
    config = transformers.ViTConfig(
        hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH, image_size=32, patch_size=8,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config), {"pixel_values": images(side=32)}


def convnext() -> Built:
    config = transformers.ConvNextConfig(
        hidden_sizes=[128, 256, 256, 512], depths=[1, 1, 2, 1], layer_scale_init_value=0.1
    )
    return transformers.ConvNextForImageClassification(config), {"pixel_values": images(side=96)}


def efficientnet() -> Built:
    config = transformers.EfficientNetConfig(
        width_coefficient=2.0, depth_coefficient=1.0, hidden_dim=2560, image_size=64,
        batch_norm_eps=1e-5,
    )  # fmt: skip
    model = transformers.EfficientNetForImageClassification(config)
    for m in model.modules():  # the initialisation of torchvision
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out")
        elif isinstance(m, nn.BatchNorm2d):
            m.reset_parameters()
    return model, {"pixel_values": images()}


class Block(nn.Module):
    """The basic block of ResNet-18, or with `wide` the bottleneck of ResNet-50."""

    def __init__(self, n_in: int, n: int, stride: int, wide: int) -> None:
        super().__init__()
        out = n * wide
        sizes = [(n_in, n, 1, 1), (n, n, 3, stride), (n, out, 1, 1)]
        if wide == 1:
            sizes = [(n_in, n, 3, stride), (n, out, 3, 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, k, s, k // 2, bias=False) for a, b, k, s in sizes
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b, _, _ in sizes)
        self.downsample = None
        if stride > 1 or n_in != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(conv(y))
            y = F.relu(y) if i + 1 < len(self.convs) else y
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """As in torchvision, with its initialisation."""

    def __init__(self, depths: tuple[int, ...], wide: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.norm = nn.BatchNorm2d(64)
        blocks, n_in = [], 64
        for stage, depth in enumerate(depths):
            for i in range(depth):
                n = 64 * 2**stage
                blocks.append(Block(n_in, n, 2 if stage and i == 0 else 1, wide))
                n_in = n * wide
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(n_in, 100)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 3, 2, 1)
        x = F.adaptive_avg_pool2d(self.blocks(x), 1)
        return self.head(torch.flatten(x, 1))


def resnet18() -> Built:
    return ResNet((2, 2, 2, 2), 1), images()


def resnet50() -> Built:
    return ResNet((3, 4, 6, 3), 4), images()


class DenseLayer(nn.Module):
    def __init__(self, n: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(n), nn.Conv2d(n, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    """As in torchvision (121: depths 6, 12, 24, 16)."""

    def __init__(self, depths: tuple[int, ...] = (6, 12, 24, 16), growth: int = 32) -> None:
        super().__init__()
        n = 2 * growth
        self.stem = nn.Sequential(
            nn.Conv2d(3, n, 7, 2, 3, bias=False), nn.BatchNorm2d(n), nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        )  # fmt: skip
        parts: list[nn.Module] = []
        for i, depth in enumerate(depths):
            for _ in range(depth):
                parts.append(DenseLayer(n, growth))
                n += growth
            if i + 1 < len(depths):
                parts += [nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, n // 2, 1, bias=False)]
                parts.append(nn.AvgPool2d(2, 2))
                n //= 2
        self.parts = nn.Sequential(*parts)
        self.norm, self.head = nn.BatchNorm2d(n), nn.Linear(n, 100)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.parts(self.stem(x))))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def densenet() -> Built:
    return DenseNet(), images()


class MixerBlock(nn.Module):
    def __init__(self, positions: int, n: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(n), nn.LayerNorm(n)
        self.tokens1, self.tokens2 = nn.Linear(positions, 256), nn.Linear(256, positions)
        self.channels1, self.channels2 = nn.Linear(n, 4 * n), nn.Linear(4 * n, n)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x).transpose(1, 2)
        x = x + self.tokens2(F.gelu(self.tokens1(y))).transpose(1, 2)
        return x + self.channels2(F.gelu(self.channels1(self.norm2(x))))


class Mixer(nn.Module):
    def __init__(self, n: int = WIDTH, side: int = 64, patch: int = 8) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, n, patch, patch)
        self.blocks = nn.Sequential(*(MixerBlock((side // patch) ** 2, n) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(n), nn.Linear(n, 100)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(dim=1))


def mixer() -> Built:
    return Mixer(), images()


def _double(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True),
        nn.Conv2d(b, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True),
    )  # fmt: skip


class UNet(nn.Module):
    def __init__(self, n: int = 64) -> None:
        super().__init__()
        sizes = (n, 2 * n, 4 * n)
        self.down = nn.ModuleList(
            _double(a, b) for a, b in zip((3, *sizes[:-1]), sizes, strict=True)
        )
        self.middle = _double(sizes[-1], 8 * n)
        ups = [(8 * n, 4 * n), (4 * n, 2 * n), (2 * n, n)]
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in ups)
        self.after = nn.ModuleList(_double(2 * b, b) for _, b in ups)
        self.head = nn.Conv2d(n, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        for up, after in zip(self.up, self.after, strict=True):
            x = after(torch.cat([kept.pop(), up(x)], dim=1))
        return self.head(x)


def unet() -> Built:
    return UNet(), images(inputs=4)


class Recurrent(nn.Module):
    def __init__(self, kind: Any, n: int = WIDTH, **more: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, n)
        self.cells = kind(n, n, num_layers=2, batch_first=True, **more)
        self.head = nn.Linear(n * (2 if more.get("bidirectional") else 1), 100)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.cells(self.embedding(ids))[0][:, -1])


def lstm() -> Built:
    return Recurrent(nn.LSTM), tokens(length=8)


def gru() -> Built:
    return Recurrent(nn.GRU, bidirectional=True), tokens(length=8)


def rnn() -> Built:
    return Recurrent(nn.RNN), tokens(length=8)


class Encoder(nn.Module):
    """The encoder of torch itself, with nn.MultiheadAttention."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, batch_first=True)
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 100)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.embedding(ids)))


def encoder() -> Built:
    return Encoder(), tokens()


MODELS: dict[str, Callable[[], Built]] = {
    f.__name__: f
    for f in (
        gpt2, llama, mistral, qwen, gemma, gemma2, bert, t5, vit, convnext, resnet18, resnet50,
        efficientnet, densenet, mixer, unet, lstm, gru, rnn, encoder,
    )
}  # fmt: skip

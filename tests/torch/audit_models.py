"""Models as their authors initialise them, and faults to put into them."""

import math
import re
from itertools import pairwise

import torch

nn, init = torch.nn, torch.nn.init
F = torch.nn.functional
DIM, LAYERS, VOCAB = 64, 4, 300
ENDS = r"(attn\.c_proj|wo|o_proj|attention\.output\.dense)\.weight"
DOWNS = r"(mlp\.c_proj|w2|down_proj|\d\.output\.dense)\.weight"


class Attention(nn.Module):
    def __init__(self, d=DIM, heads=4):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            y.view(b, t, self.heads, c // self.heads).transpose(1, 2)
            for y in self.c_attn(x).split(c, 2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c))


class FeedForward(nn.Module):
    def __init__(self, d=DIM):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(DIM), Attention()
        self.ln_2, self.mlp = nn.LayerNorm(DIM), FeedForward()

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class NanoGPT(nn.Module):
    """As karpathy/nanoGPT builds and initialises it, the names included."""

    def __init__(self, layers=LAYERS):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, DIM), nn.Embedding(32, DIM)
        self.h = nn.ModuleList(Block() for _ in range(layers))
        self.ln_f, self.lm_head = nn.LayerNorm(DIM), nn.Linear(DIM, VOCAB, bias=False)
        self.wte.weight = self.lm_head.weight
        self.apply(self._init)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                init.normal_(p, 0.0, 0.02 / math.sqrt(2 * layers))

    def _init(self, m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            init.normal_(m.weight, 0.0, 0.02)
        if isinstance(m, nn.Linear) and m.bias is not None:
            init.zeros_(m.bias)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class RMSNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class LlamaAttention(nn.Module):
    def __init__(self, d=DIM, heads=4):
        super().__init__()
        self.heads = heads
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(d, d, bias=False) for _ in range(4))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            w(x).view(b, t, self.heads, c // self.heads).transpose(1, 2)
            for w in (self.wq, self.wk, self.wv)
        )
        weights = (q @ k.transpose(2, 3) / math.sqrt(c // self.heads)).softmax(-1)
        return self.wo((weights @ v).transpose(1, 2).contiguous().view(b, t, c))


class SwiGLU(nn.Module):
    def __init__(self, d=DIM, hidden=160):
        super().__init__()
        self.w1, self.w3 = (nn.Linear(d, hidden, bias=False) for _ in range(2))
        self.w2 = nn.Linear(hidden, d, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class LlamaBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.feed_forward = LlamaAttention(), SwiGLU()
        self.attention_norm, self.ffn_norm = RMSNorm(DIM), RMSNorm(DIM)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class Llama2c(nn.Module):
    """As karpathy/llama2.c; `ends` are the weights that are scaled with depth."""

    def __init__(self, ends=("w2.weight", "wo.weight"), layers=LAYERS):
        super().__init__()
        self.tok_embeddings = nn.Embedding(VOCAB, DIM)
        self.layers = nn.ModuleList(LlamaBlock() for _ in range(layers))
        self.norm, self.output = RMSNorm(DIM), nn.Linear(DIM, VOCAB, bias=False)
        self.tok_embeddings.weight = self.output.weight
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = bool(ends) and name.endswith(ends)
                init.normal_(p, 0.0, 0.02 / math.sqrt(2 * layers) if deep else 0.02)

    def forward(self, ids):
        x = self.tok_embeddings(ids)
        for block in self.layers:
            x = block(x)
        return self.output(self.norm(x))


class Basic(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn1, self.bn2, self.relu = nn.BatchNorm2d(n_out), nn.BatchNorm2d(n_out), nn.ReLU()
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """As torchvision's, small; `zero` is its zero_init_residual."""

    def __init__(self, zero=False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Basic(16, 16, 1), Basic(16, 16, 1))
        self.layer2 = nn.Sequential(Basic(16, 32, 2), Basic(32, 32, 1))
        self.relu, self.avgpool = nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(32, 10)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, Basic) and zero:
                init.zeros_(m.bn2.weight)

    def forward(self, x):
        x = self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def mlp(*widths, weights=None, act=nn.ReLU):
    layers = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), act()]
        if weights is not None:
            weights(layers[-2].weight)
            init.zeros_(layers[-2].bias)
    return nn.Sequential(*layers[:-1])


def he(w):
    init.kaiming_normal_(w, nonlinearity="relu")


def siren():
    model = mlp(2, 64, 64, 64, 1, act=lambda: nn.Hardtanh())
    for k, layer in enumerate(m for m in model if isinstance(m, nn.Linear)):
        n = layer.in_features
        bound = 1 / n if k == 0 else math.sqrt(6 / n) / 30
        init.uniform_(layer.weight, -bound, bound)
    return model


def actor_critic():
    def layer(n_in, n_out, gain=2**0.5):
        made = nn.Linear(n_in, n_out)
        init.orthogonal_(made.weight, gain)
        init.zeros_(made.bias)
        return made

    body = [layer(8, 64), nn.Tanh(), layer(64, 64), nn.Tanh()]
    return nn.Sequential(*body, layer(64, 4, 0.01))


def dcgan():
    conv = nn.ConvTranspose2d
    model = nn.Sequential(
        conv(32, 64, 4, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        conv(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        conv(32, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    for m in model:
        if isinstance(m, conv):
            init.normal_(m.weight, 0.0, 0.02)
        elif isinstance(m, nn.BatchNorm2d):
            init.normal_(m.weight, 1.0, 0.02)
    return model


class Language(nn.Module):
    """An LSTM with orthogonal recurrent weights and forget gates at 1."""

    def __init__(self, set_by_hand=True):
        super().__init__()
        self.emb, self.rnn = nn.Embedding(200, 48), nn.LSTM(48, 64, 2, batch_first=True)
        self.out = nn.Linear(64, 200)
        for name, p in self.rnn.named_parameters():
            if not set_by_hand:
                continue
            if "weight_hh" in name:
                for gate in p.data.chunk(4):
                    init.orthogonal_(gate)
            elif "weight_ih" in name:
                init.xavier_uniform_(p)
            else:
                init.zeros_(p)
                p.data[64:128] = 1.0 if "bias_ih" in name else 0.0

    def forward(self, ids):
        return self.out(self.rnn(self.emb(ids))[0])


def deep_norm():
    model, beta = Llama2c(), (8 * LAYERS) ** -0.25
    for name, p in model.layers.named_parameters():
        if p.dim() == 2:
            init.xavier_normal_(p, beta if re.search("w1|w2|w3|wv|wo", name) else 1.0)
    return model


def depth_scaled():
    model = NanoGPT(layers=8)
    for k, block in enumerate(model.h):
        for layer in (block.attn, block.mlp):
            init.normal_(layer.c_proj.weight, 0.0, 0.02 / math.sqrt(2 * (k + 1)))
    return model


def zero_projections():
    """As nanochat: uniform, zero projections, an embedding of its own scale."""
    model = Llama2c()
    model.tok_embeddings = nn.Embedding(VOCAB, DIM)
    bound = math.sqrt(3 / DIM)
    for name, p in model.layers.named_parameters():
        if p.dim() == 2:
            init.uniform_(p, -bound, bound)
        if re.search("wo|w2", name):
            init.zeros_(p)
    init.normal_(model.tok_embeddings.weight, 0.0, 0.8)
    init.normal_(model.output.weight, 0.0, 0.001)
    return model


def weight_norm():
    norm = nn.utils.parametrizations.weight_norm
    layers = [norm(nn.Linear(32, 64)), nn.ReLU(), norm(nn.Linear(64, 64)), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 4))


def encoder(layers=3):
    made = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 1)
    made.layers = nn.ModuleList(
        nn.TransformerEncoderLayer(32, 4, 64, batch_first=True) for _ in range(layers)
    )
    return made


CLEAN = {
    "nanoGPT": NanoGPT,
    "nanoGPT in bfloat16": lambda: NanoGPT().bfloat16(),
    "nanoGPT in float16": lambda: NanoGPT().half(),
    "llama2.c": Llama2c,
    "llama without depth scaling": lambda: Llama2c(()),
    "depth scaled layer by layer": depth_scaled,
    "DeepNorm": deep_norm,
    "zero projections": zero_projections,
    "ResNet": ResNet,
    "ResNet, zero_init_residual": lambda: ResNet(True),
    "MLP as torch draws it": lambda: mlp(32, 64, 64, 64, 10),
    "deep MLP as torch draws it": lambda: mlp(32, *[64] * 16, 10),
    "MLP of many widths": lambda: mlp(784, 256, 128, 64, 32, 10),
    "MLP, He": lambda: mlp(32, 64, 64, 64, 10, weights=he),
    "MLP, Xavier": lambda: mlp(32, 128, 64, 32, 10, weights=init.xavier_uniform_),
    "MLP, orthogonal": lambda: mlp(32, 64, 64, 64, 10, weights=init.orthogonal_),
    "SIREN": siren,
    "actor": actor_critic,
    "DCGAN": dcgan,
    "LSTM": lambda: Language(False),
    "LSTM set by hand": Language,
    "weight_norm": weight_norm,
    "TransformerEncoder": encoder,
    "Transformer": lambda: nn.Transformer(32, 4, 2, 2, 64, batch_first=True),
    "one layer": lambda: nn.Linear(64, 64),
    "tiny": lambda: mlp(2, 3, 3, 1, act=nn.Tanh),
}

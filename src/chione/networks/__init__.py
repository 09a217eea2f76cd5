"""Networks as plain data: frozen descriptions without mathematics.

One file a layer kind; :class:`Network` puts them in order, and the builders return whole networks.
"""

from chione.networks.attention import Attention
from chione.networks.builders import convnet, densenet, mixer, mlp, resnet
from chione.networks.convolution import Convolution
from chione.networks.dense import Dense
from chione.networks.dropout import Dropout
from chione.networks.flatten import Flatten
from chione.networks.gate import Gate
from chione.networks.image_presets import convnext, resnet18, resnet50
from chione.networks.input import Gram, Input
from chione.networks.kinds import BY_WORD, KINDS, import_files
from chione.networks.layer import AbstractLayer, Layers, Shape, ShapeError
from chione.networks.matrix import WEIGHT_LAWS, Matrix, Weights
from chione.networks.maxout import Maxout
from chione.networks.mlp import MLP
from chione.networks.network import Network
from chione.networks.noise import Noise
from chione.networks.nonlinearity import Nonlinearity
from chione.networks.norm import Norm
from chione.networks.parallel import Parallel
from chione.networks.pooling import Pooling
from chione.networks.position import Position
from chione.networks.presets import bert, gpt2, llama, lstm, vit
from chione.networks.recurrent import Recurrent
from chione.networks.repeat import Repeat
from chione.networks.residual import Residual
from chione.networks.scale import Scale
from chione.networks.transformers import transformer
from chione.networks.uniform import as_network, uniform

__all__ = [
    "BY_WORD",
    "KINDS",
    "MLP",
    "WEIGHT_LAWS",
    "AbstractLayer",
    "Attention",
    "Convolution",
    "Dense",
    "Dropout",
    "Flatten",
    "Gate",
    "Gram",
    "Input",
    "Layers",
    "Matrix",
    "Maxout",
    "Network",
    "Noise",
    "Nonlinearity",
    "Norm",
    "Parallel",
    "Pooling",
    "Position",
    "Recurrent",
    "Repeat",
    "Residual",
    "Scale",
    "Shape",
    "ShapeError",
    "Weights",
    "as_network",
    "bert",
    "convnet",
    "convnext",
    "densenet",
    "gpt2",
    "import_files",
    "llama",
    "lstm",
    "mixer",
    "mlp",
    "resnet",
    "resnet18",
    "resnet50",
    "transformer",
    "uniform",
    "vit",
]

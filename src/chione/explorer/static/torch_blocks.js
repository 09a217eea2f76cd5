// PyTorch code of the residual, pre-norm and transformer blocks, as modules with their initialisation.

const ALIKE = [
  "        self.attention_norm = nn.LayerNorm(width, eps=0.0)",
  "        self.attention = nn.MultiheadAttention(width, num_heads=1, bias=False, batch_first=True)",
  "        queries, keys, values = self.attention.in_proj_weight.detach().chunk(3)",
  "        nn.init.zeros_(queries)  # every token looks at all tokens alike; the keys let it learn",
  "        for weight in (keys, values, self.attention.out_proj.weight):",
  "            nn.init.normal_(weight, std=sigma_w / width**0.5)",
];

/** Lines from a dense layer on to the model; `made` makes the activation, `weights` initialises a layer. */
export function torchBlocks(mode, made, weights) {
  const tokens = mode === "transformer";
  const branch = mode === "residual" ? [made, "dense()"] : ["nn.LayerNorm(width, eps=0.0)", "dense()", made, "dense()"];
  const attended = ["        x = self.attention_norm(h)", "        h = h + alpha * self.attention(x, x, x, need_weights=False)[0]"];
  return [
    "", "", "def dense():", "    linear = nn.Linear(width, width)", weights, "    nn.init.normal_(linear.bias, std=sigma_b)", "    return linear",
    "", "", "class Block(nn.Module):", "    def __init__(self):", "        super().__init__()", ...(tokens ? ALIKE : []),
    `        self.branch = nn.Sequential(${branch.join(", ")})`,
    "", "    def forward(self, h):", ...(tokens ? attended : []), "        return h + alpha * self.branch(h)",
    "", "", "model = nn.Sequential(*[Block() for _ in range(depth)])",
  ];
}

"""models: the networks of the workloads, each written once for both frameworks: `fw` is minigrad or torch.

Reading order: `mlp`, `convnet`, `blocks`; `attend`, which the Transformers share; `Encoder`, `GPT`.
"""


def mlp(fw):
    nn = fw.nn
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def convnet(fw):
    nn = fw.nn
    head = [nn.Flatten(), nn.Linear(32 * 13 * 13, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), *head)


def blocks(fw):
    """Three blocks convolution - batch norm - relu - pooling on 3x32x32."""
    nn = fw.nn
    layers = []
    for before, after in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4 * 4, 10))


def attend(fw, qkv, heads, causal=False, cache=None, start=0):
    """Self-attention of (batch, tokens, 3 d); `cache` holds the keys and values of the tokens before `start`."""
    batch, tokens, _ = qkv.shape
    q, k, v = (part.view(batch, tokens, heads, -1).transpose(1, 2) for part in qkv.chunk(3, -1))
    if cache is not None:
        end = start + tokens
        cache[0][:, :, start:end], cache[1][:, :, start:end] = k, v
        k, v = cache[0][:, :, :end], cache[1][:, :, :end]
    y = fw.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal and tokens > 1)
    return y.transpose(1, 2).reshape(batch, tokens, -1)


def encoder_layer(fw, d, heads, hidden):
    """A Transformer encoder layer: norms after the residuals, gelu, no dropout."""
    nn = fw.nn

    class EncoderLayer(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.feed = nn.Sequential(nn.Linear(d, hidden), nn.GELU(), nn.Linear(hidden, d))
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)

        def forward(self, x):
            x = self.norm1(x + self.out(attend(fw, self.qkv(x), heads)))
            return self.norm2(x + self.feed(x))

    return EncoderLayer()


def encoder(fw, layers=4, d=256, heads=4, classes=10):
    """A stack of encoder layers over (batch, tokens, d), the mean over the tokens, and a linear classifier."""
    nn = fw.nn

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(*[encoder_layer(fw, d, heads, 4 * d) for _ in range(layers)])
            self.head = nn.Linear(d, classes)

        def forward(self, x):
            return self.head(self.layers(x).mean(1))

    return Encoder()


def sentences(fw, layers=6, d=384, heads=12, vocabulary=30522, context=512):
    """Sentence vectors in the shape of MiniLM: embeddings and their norm, encoder layers, the mean over the tokens."""
    nn = fw.nn

    class Sentences(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.positions = nn.Embedding(vocabulary, d), nn.Embedding(context, d)
            self.norm = nn.LayerNorm(d)
            self.layers = nn.Sequential(*[encoder_layer(fw, d, heads, 4 * d) for _ in range(layers)])

        def forward(self, tokens):
            x = self.words(tokens) + self.positions(fw.arange(tokens.shape[1], device=tokens.device))
            return self.layers(self.norm(x)).mean(1)

    return Sentences()


def decoder_layer(fw, d, heads):
    """A GPT layer: norms before, causal attention, gelu."""
    nn = fw.nn

    class DecoderLayer(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.feed = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)

        def forward(self, x, cache=None, start=0):
            x = x + self.out(attend(fw, self.qkv(self.norm1(x)), heads, True, cache, start))
            return x + self.feed(self.norm2(x))

    return DecoderLayer()


def gpt(fw, layers=4, d=192, heads=6, vocabulary=1000, context=128):
    """A GPT with the embedding's weight as its last matrix. With a `cache` it gives the last token's logits only."""
    nn = fw.nn

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.positions = nn.Embedding(vocabulary, d), nn.Embedding(context, d)
            self.layers = nn.ModuleList([decoder_layer(fw, d, heads) for _ in range(layers)])
            self.norm = nn.LayerNorm(d)
            nn.init.normal_(self.words.weight, std=0.02)

        def forward(self, tokens, cache=None, start=0):
            x = self.words(tokens) + self.positions(fw.arange(start, start + tokens.shape[1], device=tokens.device))
            for i, layer in enumerate(self.layers):
                x = layer(x, cache and cache[i], start)
            x = self.norm(x if cache is None else x[:, -1:])
            return nn.functional.linear(x, self.words.weight)

    return GPT()


def new_cache(fw, batch=1, layers=12, heads=12, context=1024, width=64):
    """Room for keys and values of every layer."""
    return [[fw.zeros(batch, heads, context, width) for _ in "kv"] for _ in range(layers)]

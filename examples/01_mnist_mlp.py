"""MNIST with a multi-layer perceptron 784-256-128-10: train, evaluate, save, load, predict the same.

    python examples/01_mnist_mlp.py                  the program of document 000: SGD 0.01, momentum 0.9, 10 epochs
    python examples/01_mnist_mlp.py --short          one epoch over a tenth of the images

Expect about 98 % test accuracy after 10 epochs.
"""

import argparse
import time

import minigrad as mg
from minigrad import nn, optim
from minigrad.nn import functional as F
from minigrad.utils.data import DataLoader, Subset
from minigrad.utils.progress import progress
from minigrad.vision import datasets, transforms


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 256)
        self.fc2 = nn.Linear(256, 128)
        self.fc3 = nn.Linear(128, 10)

    def forward(self, x):
        x = x.view(-1, 784)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def loaders(batch_size, short):
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    train = datasets.MNIST("data", train=True, download=True, transform=transform)
    test = datasets.MNIST("data", train=False, download=True, transform=transform)
    if short:
        train, test = Subset(train, range(6000)), Subset(test, range(1000))
    return DataLoader(train, batch_size, shuffle=True), DataLoader(test, 1000)


def train_epoch(model, loader, optimizer, epoch):
    """One pass over the data; the mean loss per sample."""
    model.train()
    total = count = 0
    for images, labels in progress(loader, f"epoch {epoch}"):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
        count += len(labels)
    return total / count


@mg.no_grad()
def predict(model, loader):
    """(predicted classes, labels) over a data set."""
    model.eval()
    pairs = [(model(images).argmax(1), labels) for images, labels in loader]
    return tuple(mg.cat(column) for column in zip(*pairs, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", default="mnist_mlp.safetensors")
    parser.add_argument("--short", action="store_true", help="one epoch over a tenth of the images")
    args = parser.parse_args()

    mg.manual_seed(args.seed)
    train, test = loaders(args.batch_size, args.short)
    model = MLP()
    optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
    for epoch in range(1, 2 if args.short else args.epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(model, train, optimizer, epoch)
        seconds = time.perf_counter() - start
        predicted, labels = predict(model, test)
        accuracy = (predicted == labels).float().mean().item()
        print(f"epoch {epoch:2}  loss {loss:.4f}  test accuracy {accuracy:.2%}  {seconds:.2f} s", flush=True)

    mg.save(model.state_dict(), args.save)
    loaded = MLP()
    loaded.load_state_dict(mg.load(args.save))
    again, _ = predict(loaded, test)
    if not (again == predicted).all():
        raise SystemExit("the loaded model predicts differently")
    print(f"saved to {args.save}; the loaded model predicts the same on all {len(labels)} test images")


if __name__ == "__main__":
    main()

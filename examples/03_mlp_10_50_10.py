"""The 10-50-10 network of document 002 on ten clusters of points: Adam 0.001, 100 epochs, accuracy on points not seen.

    python examples/03_mlp_10_50_10.py [--short]

The document leaves its data out; here each class is a cluster around a random centre. Chance would be 10 %.
"""

import argparse

import minigrad as mg
from minigrad import nn, optim
from minigrad.utils.data import DataLoader, TensorDataset, random_split
from minigrad.utils.progress import progress


def clusters(n, spread=0.7):
    """n points of 10 features in 10 classes."""
    centers, labels = mg.randn(10, 10), mg.randint(0, 10, (n,))
    return TensorDataset(centers[labels] + spread * mg.randn(n, 10), labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="10 epochs")
    args = parser.parse_args()

    mg.manual_seed(args.seed)
    train, test = random_split(clusters(2500), [2000, 500])
    model = nn.Sequential(
        nn.Linear(in_features=10, out_features=50), nn.ReLU(), nn.Linear(in_features=50, out_features=10)
    )
    print(model, f"\n{sum(p.numel() for p in model.parameters())} parameters")
    criterion, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.001)

    loader = DataLoader(train, batch_size=50, shuffle=True)
    epochs = 10 if args.short else args.epochs
    for epoch in progress(range(1, epochs + 1), "training"):
        total = 0.0
        for points, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(points), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        if epoch % max(1, epochs // 5) == 0:
            print(f"epoch {epoch:3}  mean loss {total / len(loader):.4f}")

    model.eval()
    with mg.no_grad():
        points, labels = next(iter(DataLoader(test, batch_size=len(test))))
        accuracy = (model(points).argmax(1) == labels).float().mean().item()
    print(f"test accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()

"""Trains the small CNN of the examples on scikit-learn's digits and writes the files beside this script.

Run with Python, torch 2.15.0, scikit-learn 1.9.1, onnx, onnxscript and safetensors:

    python make_digits.py

Writes `digits_cnn.onnx` (the model, exported by PyTorch), `digits_cnn.safetensors` (its state dict)
and `digits_samples.npz` (some test digits with their labels and PyTorch's logits).
"""

import os

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 0
EPOCHS = 60
BATCH = 64
N_SAMPLES = 10


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def split_digits():
    """Images f32[N, 1, 8, 8] from 0 to 1 and labels: three quarters to train, one to test."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    return train_test_split(
        images, digits.target, test_size=0.25, random_state=SEED, stratify=digits.target
    )


def train(model, images, labels):
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    order = torch.Generator().manual_seed(SEED)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=order).split(BATCH):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()


def export(model, path):
    """The model for one image, as ONNX."""
    program = torch.onnx.export(
        model,
        (torch.zeros(1, 1, 8, 8),),
        input_names=["image"],
        output_names=["logits"],
        dynamo=True,
    )
    # The exporter notes the source files' paths on this machine; they do not belong in the file.
    for node in program.model.graph.all_nodes():
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)
    program.save(path, external_data=False)


def save_samples(model, images, labels, path):
    """The first test digit of each class, with the logits of the model."""
    chosen = [int(np.flatnonzero(labels == digit)[0]) for digit in range(N_SAMPLES)]
    images, labels = images[chosen], labels[chosen].astype(np.int64)
    with torch.no_grad():
        logits = np.concatenate([model(torch.from_numpy(image[None])).numpy() for image in images])
    answers = {"all_logits": logits, "out_0": logits[:1]}
    np.savez_compressed(path, images=images, labels=labels, in_0=images[:1], **answers)


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    train_images, test_images, train_labels, test_labels = split_digits()
    model = small_cnn()
    train(model, train_images, train_labels)
    model.eval()
    with torch.no_grad():
        answers = model(torch.from_numpy(test_images)).argmax(1).numpy()
    right = int((answers == test_labels).sum())
    print(f"test accuracy: {right} of {len(test_labels)} ({right / len(test_labels):.2%})")
    export(model, os.path.join(HERE, "digits_cnn.onnx"))
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, os.path.join(HERE, "digits_cnn.safetensors"))
    save_samples(model, test_images, test_labels, os.path.join(HERE, "digits_samples.npz"))


if __name__ == "__main__":
    main()

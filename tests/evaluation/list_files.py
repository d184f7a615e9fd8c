"""Small lists for tests."""


def write(folder, text, name="list.txt"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


def view2(folds=3, count=2, newline="\n"):
    lines = [f"{folds}\t{count}"]
    for fold in range(folds):
        lines += [f"Ann{fold}\t1\t{i + 2}" for i in range(count)]
        lines += [f"Ann{fold}\t1\tBob{fold}\t{i + 1}" for i in range(count)]
    return newline.join(lines)

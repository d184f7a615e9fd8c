"""One backbone for all views: one call, one exchange between processes."""

import torch
from torch import distributed as dist
from torch import multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from faceverify.training.backbones import build_backbone
from faceverify.training.optim.view_encoder import ViewEncoder


def backbone():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()


def views(seed=1):
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(8, 5, generator=draws, dtype=torch.float64) for _ in range(2)]


def loss_of(first, second):
    return (first * second).sum(dim=1).mean()


def test_all_views_pass_in_one_call():
    net = backbone()
    first, second = ViewEncoder(net)(views())
    assert net[1].num_batches_tracked == 1
    torch.testing.assert_close(torch.cat([first, second]), backbone()(torch.cat(views())))
    (alone,) = ViewEncoder(backbone())(views()[:1])
    assert torch.equal(alone, backbone()(views()[0]))


def test_parts_of_images_are_embedded_each_by_itself():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()
    parts = torch.randn(4, 5, 3, 2, 2, dtype=torch.float64)
    first, second = ViewEncoder(net)([parts, parts + 1])
    assert first.shape == (4, 5, 3)
    torch.testing.assert_close(first[2, 3], net(parts[2, 3:4])[0])
    torch.testing.assert_close(second[1], net(parts[1] + 1))


def test_maps_come_after_the_embeddings_of_all_views():
    net = build_backbone("vit", embedding_size=6, size=12, patch=4, width=8, depth=1, heads=2)
    images = [torch.randn(3, 3, 12, 12), torch.randn(3, 3, 12, 12), torch.randn(3, 3, 8, 8)]
    found = ViewEncoder(net)(images, maps=True)
    for index, image in enumerate(images):
        torch.testing.assert_close(found[index], net(image))
        torch.testing.assert_close(found[3 + index], net.maps(image))


def one_of_two(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    net = DistributedDataParallel(ViewEncoder(backbone().eval()))
    loss_of(*net([view[4 * rank : 4 * rank + 4] for view in views()])).backward()
    torch.save([one.grad for one in net.parameters()], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_gradient_of_one(tmp_path):
    multiprocessing.start_processes(one_of_two, (str(tmp_path),), 2, start_method="fork")
    net = backbone().eval()
    loss_of(*ViewEncoder(net)(views())).backward()
    for rank in range(2):
        for found, expected in zip(
            torch.load(tmp_path / f"{rank}.pt"), net.parameters(), strict=True
        ):
            torch.testing.assert_close(found, expected.grad)

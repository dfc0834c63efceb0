"""The aesthetic head: a chain of linear layers over CLIP features, from whatever file it came."""

import itertools

import numpy as np
import pytest

from plait.pipeline.aesthetic import read_aesthetic_head
from plait.schemas.errors import ConfigError

RNG = np.random.default_rng(3)


def layers(*sizes: int) -> dict[str, np.ndarray]:
    """Named as LAION's second version: dropouts stand between, so that numbers are not consecutive."""
    out = {}
    for place, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        out[f"layers.{2 * place}.weight"] = RNG.normal(size=(narrow, wide)).astype(np.float32)
        out[f"layers.{2 * place}.bias"] = RNG.normal(size=narrow).astype(np.float32)
    return out


def test_a_linear_head_is_a_product_with_features_of_length_one(tmp_path):
    weight = RNG.normal(size=(1, 8)).astype(np.float32)
    np.savez(tmp_path / "head.npz", weight=weight, bias=np.array([2.0], np.float32))
    head = read_aesthetic_head(str(tmp_path / "head.npz"))
    features = RNG.normal(size=(5, 8)).astype(np.float32)
    expected = (features / np.linalg.norm(features, axis=1, keepdims=True)) @ weight[0] + 2
    assert head.features == 8
    assert head.scores(features) == pytest.approx(expected, abs=1e-5)
    assert head.scores(features * 7) == pytest.approx(expected, abs=1e-5)


def test_the_layers_of_the_second_version_are_chained_in_their_order(tmp_path):
    torch = pytest.importorskip("torch")
    made = layers(16, 32, 12, 1)
    state = {name: torch.from_numpy(value) for name, value in reversed(made.items())}
    torch.save(state, tmp_path / "head.pth")
    np.savez(tmp_path / "head.npz", **made)
    model = torch.nn.Sequential(
        torch.nn.Linear(16, 32), torch.nn.Dropout(), torch.nn.Linear(32, 12), torch.nn.Dropout(), torch.nn.Linear(12, 1)
    )
    model.load_state_dict({name.removeprefix("layers."): value for name, value in state.items()})
    features = RNG.normal(size=(20, 16)).astype(np.float32)
    with torch.inference_mode():
        ready = torch.nn.functional.normalize(torch.from_numpy(features))
        expected = model.eval()(ready)[:, 0].numpy()
    for name in ("head.pth", "head.npz"):
        assert read_aesthetic_head(str(tmp_path / name)).scores(features) == pytest.approx(expected, abs=1e-4)


def test_a_score_does_not_depend_on_the_rows_beside_it(tmp_path):
    np.savez(tmp_path / "head.npz", **layers(768, 64, 1))
    head = read_aesthetic_head(str(tmp_path / "head.npz"))
    features = RNG.normal(size=(33, 768)).astype(np.float32)
    whole = head.scores(features)
    assert [head.scores(features[i : i + 1])[0] for i in range(33)] == whole.tolist()


def test_a_feature_that_says_nothing_has_no_score(tmp_path):
    np.savez(tmp_path / "head.npz", **layers(4, 1))
    features = np.array([[0, 0, 0, 0], [np.nan, 1, 0, 0], [1, 0, 0, 0]], np.float32)
    assert np.isnan(read_aesthetic_head(str(tmp_path / "head.npz")).scores(features)).tolist() == [True, True, False]


@pytest.mark.parametrize("sizes", [(4, 3), (4, 3, 2)])
def test_files_that_are_no_head_are_refused(sizes, tmp_path):
    np.savez(tmp_path / "head.npz", **layers(*sizes))
    with pytest.raises(ConfigError, match="no chain of linear layers"):
        read_aesthetic_head(str(tmp_path / "head.npz"))


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK no zip")
    (tmp_path / "head.txt").write_text("1")
    np.savez(tmp_path / "head.npz", **layers(4, 1))
    for name, words in (("none.npz", "no aesthetic head"), ("broken.npz", "cannot be read"), ("head.txt", "ends in")):
        with pytest.raises(ConfigError, match=words):
            read_aesthetic_head(str(tmp_path / name))
    with pytest.raises(ConfigError, match="takes features of length 4"):
        read_aesthetic_head(str(tmp_path / "head.npz")).scores(np.zeros((1, 5), np.float32))

"""`set_gpus` against made-up cards: what TensorFlow would be told."""

from types import SimpleNamespace

import pytest
import tensorflow as tf

from skcnn import set_gpus

CARDS = [SimpleNamespace(name=f"/physical_device:GPU:{i}") for i in range(3)]


@pytest.fixture
def told(monkeypatch):
    """Three cards, and what TensorFlow is told of them."""
    told = SimpleNamespace(visible=None, growth=[], limits={}, deterministic=False, started=False)

    def visible(cards, kind):
        if told.started:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        told.visible = (cards, kind)

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: CARDS if kind == "GPU" else [])
    monkeypatch.setattr(tf.config, "set_visible_devices", visible)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda card, on: told.growth.append((card, on)))
    monkeypatch.setattr(
        tf.config,
        "set_logical_device_configuration",
        lambda card, limits: told.limits.update({card.name: [limit.memory_limit for limit in limits]}),
    )
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: setattr(told, "deterministic", True))
    return told


def test_memory_grows_on_all_cards(told):
    assert set_gpus() == [card.name for card in CARDS]
    assert told.visible == (CARDS, "GPU")
    assert told.growth == [(card, True) for card in CARDS]
    assert told.limits == {}
    assert not told.deterministic


def test_workers_share_a_card_within_a_limit(told):
    assert set_gpus(4096, devices=[2], deterministic=True) == [CARDS[2].name]
    assert told.visible == ([CARDS[2]], "GPU")
    assert told.growth == []  # TensorFlow takes one or the other
    assert told.limits == {CARDS[2].name: [4096]}
    assert told.deterministic


def test_no_card_is_used_or_there(told, monkeypatch):
    assert set_gpus(devices=[]) == []
    assert told.visible == ([], "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    told.visible = None
    assert set_gpus(4096, deterministic=True) == []
    assert told.visible is None
    assert not told.deterministic


def test_what_is_refused(told):
    with pytest.raises(ValueError, match=r"devices has 3, but cards are numbered from 0 to 2"):
        set_gpus(devices=[0, 3])
    with pytest.raises(TypeError, match=r"devices has 'a'"):
        set_gpus(devices="a")
    for limit in (0, -1, 1.5, True, "4 GB"):
        with pytest.raises(ValueError, match="expected a number of MiB"):
            set_gpus(limit)
    assert told.visible is None
    told.started = True
    with pytest.raises(RuntimeError, match=r"Call skcnn\.set_gpus\(\)"):
        set_gpus()

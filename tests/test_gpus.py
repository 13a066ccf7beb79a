"""`set_gpus` against made-up cards: the options that TensorFlow would start with."""

import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from skcnn import set_gpus

CARDS = [context.PhysicalDevice(f"/physical_device:GPU:{i}", "GPU") for i in range(3)]


def with_cards(fresh):
    """Have this context of TensorFlow see three cards."""
    fresh._physical_devices = [*fresh.list_physical_devices("CPU"), *CARDS]
    fresh._memory_growth_map |= dict.fromkeys(CARDS)
    return fresh


@pytest.fixture
def fresh(monkeypatch):
    """TensorFlow's state as in a process in which it has not started, without cards."""
    fresh = context.Context()
    monkeypatch.setattr(context, "_context", fresh)
    fresh.list_physical_devices()
    return fresh


@pytest.fixture
def cards(fresh):
    with_cards(fresh)
    fresh._visible_device_list = list(fresh._physical_devices)
    return fresh


def options(cards):
    """Return which cards TensorFlow would start, whether their memory grows, and their limits."""
    options = cards.config.gpu_options
    limits = [list(one.memory_limit_mb) for one in options.experimental.virtual_devices]
    return options.visible_device_list, options.allow_growth, limits


@pytest.fixture
def determinism(monkeypatch):
    calls = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: calls.append(True))
    return calls


def test_memory_grows_on_all_cards(cards, determinism):
    assert options(cards) == ("0,1,2", False, [])  # left alone, the whole memory of each
    assert set_gpus() == [card.name for card in CARDS]
    assert options(cards) == ("0,1,2", True, [])
    assert set_gpus() == [card.name for card in CARDS]
    assert determinism == []


def test_workers_share_a_card_within_a_limit(cards, determinism):
    set_gpus()
    assert set_gpus(4096, devices=[2, 0, 2], deterministic=True) == [CARDS[2].name, CARDS[0].name]
    assert options(cards) == ("0,2", False, [[4096], [4096]])
    assert determinism == [True]
    assert set_gpus(2048, devices=[2]) == [CARDS[2].name]
    assert options(cards) == ("2", False, [[2048]])
    for devices in (None, [1]):  # TensorFlow would take all of what has no limit
        with pytest.raises(RuntimeError, match="Give this call a memory_limit"):
            set_gpus(devices=devices)
    assert options(cards) == ("2", False, [[2048]])


def test_no_card_is_used(cards):
    assert set_gpus(devices=[]) == []
    assert options(cards) == ("", False, [])


def test_no_card_is_there(fresh, determinism):
    assert set_gpus(4096, deterministic=True) == []
    assert determinism == []
    assert fresh._visible_device_list == fresh.list_physical_devices("CPU")


def test_what_is_refused(cards):
    before = options(cards)
    with pytest.raises(ValueError, match=r"devices has 3, but cards are numbered from 0 to 2"):
        set_gpus(devices=[0, 3])
    with pytest.raises(TypeError, match=r"devices has 'a'"):
        set_gpus(devices="a")
    with pytest.raises(TypeError, match=r"devices=1; expected a list of numbers of cards, such as \[0\]"):
        set_gpus(devices=1)
    with pytest.raises(TypeError, match=r"deterministic='no'; expected True or False"):
        set_gpus(deterministic="no")
    for limit in (0, -1, 1.5, True, "4 GB"):
        with pytest.raises(ValueError, match="expected a number of MiB"):
            set_gpus(limit)
    assert options(cards) == before


def test_what_has_started_is_not_changed(fresh):
    fresh.ensure_initialized()
    with_cards(fresh)
    with pytest.raises(RuntimeError, match=r"Call skcnn\.set_gpus\(\) before the first fit"):
        set_gpus()

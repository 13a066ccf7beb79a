"""How TensorFlow uses graphics cards; only the user chooses it, never an import."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

__all__ = ["set_gpus"]


def set_gpus(
    memory_limit: int | None = None, *, devices: Sequence[int] | None = None, deterministic: bool = False
) -> list[str]:
    """Choose how TensorFlow uses graphics cards, before it is used in this process.

    By default TensorFlow takes the whole memory of every card for the first process that starts it. After this call it
    takes memory as it needs it or, with `memory_limit`, no more than that, so that several workers share a card.
    It changes nothing where there is no card.

    Parameters
    ----------
    memory_limit : int, default=None
        Memory in MiB that this process takes of each card, at once and for good. With w workers on a card, its memory
        divided by w, less some 500 MiB that each process needs besides. None to take memory as it is needed.
    devices : sequence of int, default=None
        Numbers of the cards to use, counted from 0; None for all, an empty sequence for none.
    deterministic : bool, default=False
        Whether the same fit always gives the same bits. TensorFlow then uses slower kernels throughout this process,
        and raises for an operation that has no such kernel. A later call does not undo it.

    Returns
    -------
    list of str
        Names of the cards that will be used.

    Raises
    ------
    ValueError, TypeError
        If an argument is not valid, or there is no card of that number.
    RuntimeError
        If TensorFlow has already started: it takes memory when it does. Or if an earlier call has set a limit, and this
        one sets none: TensorFlow cannot remove a limit, and would take the whole memory of the cards without one.

    Notes
    -----
    Tested against made-up lists of cards, down to the options that TensorFlow would start with; it has not run on real
    cards. Each process calls it for itself: on a dask cluster, a worker plugin does, also in workers that start later.

    Examples
    --------
    >>> import skcnn
    >>> cards = skcnn.set_gpus(memory_limit=4096, devices=[])
    >>> len(cards)
    0
    """
    if memory_limit is not None and (not _is_integer(memory_limit) or memory_limit < 1):
        raise ValueError(f"memory_limit={memory_limit!r}; expected a number of MiB, an integer of at least 1, or None.")
    if devices is not None and not isinstance(devices, Iterable):
        raise TypeError(f"devices={devices!r}; expected a list of numbers of cards, such as [0], or None for all.")
    if not isinstance(deterministic, bool):
        raise TypeError(f"deterministic={deterministic!r}; expected True or False.")
    import tensorflow as tf

    cards = tf.config.list_physical_devices("GPU")
    chosen = cards if devices is None else [_card(cards, number) for number in dict.fromkeys(devices)]
    if not cards:
        return []
    if memory_limit is None and any(map(tf.config.get_logical_device_configuration, cards)):
        raise RuntimeError(
            "An earlier call has limited the memory of cards in this process, which TensorFlow cannot undo. "
            "Give this call a memory_limit, too, or restart Python."
        )
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for card in chosen:
            if memory_limit is None:
                tf.config.experimental.set_memory_growth(card, True)
            else:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(memory_limit))
                tf.config.set_logical_device_configuration(card, [limit])
    except RuntimeError as error:
        raise RuntimeError(
            "TensorFlow has already started and holds its cards. Call skcnn.set_gpus() before the first fit or any "
            "other use of TensorFlow in this process."
        ) from error
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    return [card.name for card in chosen]


def _card(cards: list[Any], number: Any) -> Any:
    if not _is_integer(number):
        raise TypeError(f"devices has {number!r}; expected numbers of cards, counted from 0.")
    if not 0 <= number < len(cards):
        known = f"cards are numbered from 0 to {len(cards) - 1}" if cards else "TensorFlow sees no card"
        raise ValueError(f"devices has {number}, but {known}.")
    return cards[number]


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
